import { schemaOf } from "@vdc-os/core";
import { z } from "zod";

/** What a datacenter's API says of itself. */
export interface About {
  readonly name: string;
  /** The datacenter's uid. */
  readonly uid: string;
  readonly version: string;
  /** Versions of the API it serves. */
  readonly apiVersions: readonly string[];
}

/** Schema of {@link About}. */
export const about: z.ZodType<About> = schemaOf<About>()(
  z.object({ name: z.string(), uid: z.string(), version: z.string(), apiVersions: z.array(z.string()) }),
);
