import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { identifier } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";

/** Somebody at the other end of an uplink, by what he says (IEEE 802.1AB). */
export interface Neighbour {
  readonly host: string;
  readonly uplink: string;
  readonly chassisId: string;
  readonly portId: string;
  readonly systemName?: string;
  readonly systemDescription?: string;
  readonly managementAddress?: string;
  /** When the announcement is forgotten, in milliseconds from now. */
  readonly expiresInMs: number;
}

/** Facet `discovery`. */
export interface DiscoveryFacet {
  /** Who is heard on the uplinks of a switch whose spec says `listen` or `both`. */
  neighbours(input: { readonly switchId: string }, context: OperationContext): Promise<readonly Neighbour[]>;
}

/** The operations of {@link DiscoveryFacet}. */
export const discoveryOperations: OperationsOf<DiscoveryFacet> = {
  neighbours: unary({
    summary: "Tells who is heard on the uplinks.",
    input: z.object({ switchId: identifier }),
    output: z.array(
      schemaOf<Neighbour>()(
        z.object({
          host: z.string(),
          uplink: z.string(),
          chassisId: z.string(),
          portId: z.string(),
          systemName: z.string().exactOptional(),
          systemDescription: z.string().exactOptional(),
          managementAddress: z.string().exactOptional(),
          expiresInMs: z.number(),
        }),
      ),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
