import { z } from "zod";

/** Config of the plugin. */
export interface LinkedClonesConfig {
  /** The provider's name. What it knows lies in the state store under this name. */
  readonly name: string;
  /** Name of the storage provider underneath: any that has facet `layering`. */
  readonly base: string;
  /** Linked clones through which a read may go through more volumes than this are flattened in the background. Defaults to none: depth costs little on a provider that merges its maps. */
  readonly flattenAtDepth?: number | undefined;
}

/** Schema of {@link LinkedClonesConfig}. */
export const linkedClonesConfig: z.ZodType<LinkedClonesConfig> = z.object({
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/),
  base: z.string().min(1),
  flattenAtDepth: z.int().positive().optional(),
});
