import { z } from "zod";

/** Which page of a list is asked for. */
export interface PageRequest {
  /** At most this many items. The provider may return fewer, with a `nextPageToken`. Defaults to the provider's choice, at most 1000. */
  readonly limit?: number;
  /** The token that the page before returned. A token that is unknown or too old fails with `ABORTED`: begin again. */
  readonly pageToken?: string;
}

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Present when there is more. */
  readonly nextPageToken?: string;
}

/** The properties of a {@link PageRequest}, for `z.object`. */
export const pageRequestShape: {
  limit: z.ZodExactOptional<z.ZodInt>;
  pageToken: z.ZodExactOptional<z.ZodString>;
} = {
  limit: z.int().min(1).max(1000).exactOptional(),
  pageToken: z.string().max(1024).exactOptional(),
};

/** Schema of a {@link Page} of items. */
export function pageOf<T>(item: z.ZodType<T>): z.ZodType<Page<T>> {
  return z.object({ items: z.array(item), nextPageToken: z.string().exactOptional() });
}
