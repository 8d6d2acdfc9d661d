import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { identifier } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";

/** A load balancer as it is in force. */
export interface LoadBalancerStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly backends: readonly { readonly address: string; readonly port: number; readonly online: boolean }[];
}

/** Facet `loadBalancing`. */
export interface LoadBalancingFacet {
  loadBalancers(
    input: { readonly switchId: string },
    context: OperationContext,
  ): Promise<readonly LoadBalancerStatus[]>;
}

/** The operations of {@link LoadBalancingFacet}. */
export const loadBalancingOperations: OperationsOf<LoadBalancingFacet> = {
  loadBalancers: unary({
    summary: "Tells the load balancers that are in force.",
    input: z.object({ switchId: identifier }),
    output: z.array(
      schemaOf<LoadBalancerStatus>()(
        z.object({
          name: z.string(),
          address: z.string(),
          port: z.int(),
          backends: z.array(z.object({ address: z.string(), port: z.int(), online: z.boolean() })),
        }),
      ),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
