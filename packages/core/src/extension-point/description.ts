import { z } from "zod";
import { type JsonObject, jsonObject } from "../schema/json.ts";
import { schemaOf } from "../schema/schema-of.ts";

/** Where a question about availability is asked: everywhere, or for one host, pool, region or zone. */
export interface Scope {
  readonly host?: string;
  readonly pool?: string;
  readonly region?: string;
  readonly zone?: string;
}

/** Input of every point's `describe`. */
export interface DescribeInput {
  readonly scope: Scope;
}

/** Whether a facet can be used in a scope, and how that is known. */
export type FacetAvailability =
  | {
      readonly status: "available";
      /** Limits and qualities, by the names that the facet documents. */
      readonly limits: JsonObject;
      /** How it was found out, on which version. */
      readonly evidence: string;
    }
  | { readonly status: "unavailable"; readonly reason: string; readonly evidence?: string };

/** What an implementation says of itself in a scope. Every facet of the contract that is not listed is unavailable. */
export interface Description {
  readonly implementation: {
    readonly name: string;
    readonly version: string;
    /** True for a simulator, and it says so wherever it is shown. */
    readonly simulated: boolean;
  };
  readonly facets: Readonly<Record<string, FacetAvailability>>;
  /** Facts that policies match on, such as `media: "ssd"`; and those that the contract names. */
  readonly attributes: JsonObject;
}

/** Schema of {@link DescribeInput}. */
export const describeInput: z.ZodType<DescribeInput> = schemaOf<DescribeInput>()(
  z.object({
    scope: z.object({
      host: z.string().exactOptional(),
      pool: z.string().exactOptional(),
      region: z.string().exactOptional(),
      zone: z.string().exactOptional(),
    }),
  }),
);

/** Schema of {@link FacetAvailability}. */
export const facetAvailability: z.ZodType<FacetAvailability> = z.discriminatedUnion("status", [
  z.object({ status: z.literal("available"), limits: jsonObject, evidence: z.string() }),
  z.object({ status: z.literal("unavailable"), reason: z.string(), evidence: z.string().exactOptional() }),
]);

/** Schema of {@link Description}. */
export const description: z.ZodType<Description> = z.object({
  implementation: z.object({ name: z.string(), version: z.string(), simulated: z.boolean() }),
  facets: z.record(z.string(), facetAvailability),
  attributes: jsonObject,
});
