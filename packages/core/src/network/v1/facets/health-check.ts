import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { identifier } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";

/** What a health check looks at. */
export type HealthCheckKind = "path" | "mtu" | "vlan" | "teaming";

/** What a check found. */
export interface HealthFinding {
  readonly check: HealthCheckKind;
  /** The host that sent, or is looked at. */
  readonly from: string;
  /** The host, uplink or VLAN that it is about. */
  readonly to: string;
  readonly ok: boolean;
  /** What was seen, in words, with sizes in bytes. What to do, where it is not ok. */
  readonly detail: string;
}

/**
 * Facet `healthCheck`: sends real frames between members, both ways.
 *
 * - `path`: whether frames arrive at all.
 * - `mtu`: whether the largest frame of the switch arrives.
 * - `vlan`: whether each VLAN of the port groups is carried.
 * - `teaming`: whether the uplinks that teaming orders name are there and have a link.
 */
export interface HealthCheckFacet {
  /** Every pair of members is told for each check; a member that can't be reached is a finding, not an error. */
  runHealthCheck(
    input: { readonly switchId: string; readonly checks: readonly HealthCheckKind[] },
    context: OperationContext,
  ): Promise<readonly HealthFinding[]>;
}

const check = z.enum(["path", "mtu", "vlan", "teaming"]);

/** The operations of {@link HealthCheckFacet}. */
export const healthCheckOperations: OperationsOf<HealthCheckFacet> = {
  runHealthCheck: unary({
    summary: "Checks the paths between members with real frames.",
    input: z.object({ switchId: identifier, checks: z.array(check) }),
    output: z.array(
      schemaOf<HealthFinding>()(
        z.object({ check, from: z.string(), to: z.string(), ok: z.boolean(), detail: z.string() }),
      ),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
