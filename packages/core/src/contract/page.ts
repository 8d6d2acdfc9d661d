import { z } from "zod";
import { VdcError } from "../error/vdc-error.ts";

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

const tokenPrefix = "after:";

/**
 * One page of items in order of their key, for providers that have the whole list at hand. The token names the last key of the page before, so that items
 * which come and go meanwhile disturb nothing. A token that is not of this kind fails with `ABORTED`.
 */
export function pageByKey<T>(items: Iterable<T>, keyOf: (item: T) => string, request: PageRequest): Page<T> {
  const { limit = 1000, pageToken } = request;
  if (pageToken !== undefined && !pageToken.startsWith(tokenPrefix)) {
    throw new VdcError("ABORTED", "the page token is not one of this list: begin again without one", {
      reason: "VDC_PAGE_TOKEN",
      retryable: false,
    });
  }
  const after = pageToken?.slice(tokenPrefix.length);
  const rest = [...items]
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => after === undefined || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    ...(last === undefined || page.length === rest.length ? {} : { nextPageToken: `${tokenPrefix}${last.key}` }),
  };
}
