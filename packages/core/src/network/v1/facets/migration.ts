import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";
import { type PortBinding, type PortState, portBinding, portState } from "../port.ts";
import { type PortReference, portReferenceShape } from "./port-reference.ts";

/** A port's move to another host, begun by `prepareMigration`. It outlives both hosts, and the provider's process. */
export interface MigrationTicket {
  readonly ticket: string;
  readonly switchId: string;
  readonly portKey: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  /** Where the VM's new NIC is joined to the port on the target host. */
  readonly target: PortBinding;
  readonly state: "prepared" | "activated" | "completed" | "aborted";
}

/**
 * Facet `migration`: network VMotion (OVN: requested-chassis with activation).
 *
 * 1. `prepareMigration` readies the port on the target host for the new owner. The source goes on as before; what the new NIC sends is not passed yet.
 * 2. `activateMigration` switches over: from then on the new owner's frames pass and the old owner's do not, frames for the VM go to the target, and
 *    those that are under way to the source are sent on to the target. No frame is delivered twice.
 * 3. `completeMigration` takes the source's part down; `abortMigration`, which a prepared move alone allows, the target's.
 *
 * Statistics, learned addresses, multicast memberships, mirror sessions, filters and the vendor's data are the port's, and so are at the target as
 * they were at the source. A step that is repeated succeeds with the same ticket; a ticket can always be ended, also when the source host is lost.
 */
export interface PortMigrationFacet {
  /**
   * `generation` is the new owner's, above the present one. `targetHost` is a member, and another one than the port is on: a new owner on the same host
   * connects the port. A port moves to one host at a time: another move of it fails with `FAILED_PRECONDITION`, and so does one to its own host.
   */
  prepareMigration(
    input: PortReference & { readonly targetHost: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<MigrationTicket>;
  activateMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  completeMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  abortMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  /** The moves of a switch that are neither completed nor aborted. */
  listMigrations(input: { readonly switchId: string }, context: OperationContext): Promise<readonly MigrationTicket[]>;
  /** What moves with a port, for a move to another provider. */
  exportPortState(input: PortReference, context: OperationContext): Promise<PortState>;
  /** Takes over what moved with a port. Counters go on from there. */
  importPortState(input: PortReference & { readonly state: PortState }, context: OperationContext): Promise<void>;
}

const ticketRef = z.object({ ticket: identifier });
const ticketErrors = ["NOT_FOUND", "FAILED_PRECONDITION"] as const;

const migrationTicket = schemaOf<MigrationTicket>()(
  z.object({
    ticket: identifier,
    switchId: identifier,
    portKey: identifier,
    sourceHost: z.string(),
    targetHost: z.string(),
    target: portBinding,
    state: z.enum(["prepared", "activated", "completed", "aborted"]),
  }),
);

/** The operations of {@link PortMigrationFacet}. */
export const portMigrationOperations: OperationsOf<PortMigrationFacet> = {
  prepareMigration: unary({
    summary: "Readies a port on another host.",
    input: z.object({ ...portReferenceShape, targetHost: z.string(), generation }),
    output: migrationTicket,
    idempotent: true,
    errors: ticketErrors,
  }),
  activateMigration: unary({
    summary: "Switches a port over.",
    input: ticketRef,
    output: migrationTicket,
    idempotent: true,
    errors: ticketErrors,
  }),
  completeMigration: unary({
    summary: "Ends a port's move.",
    input: ticketRef,
    output: migrationTicket,
    idempotent: true,
    errors: ticketErrors,
  }),
  abortMigration: unary({
    summary: "Takes a port's move back.",
    input: ticketRef,
    output: migrationTicket,
    idempotent: true,
    errors: ticketErrors,
  }),
  listMigrations: unary({
    summary: "Lists the moves that are under way.",
    input: z.object({ switchId: identifier }),
    output: z.array(migrationTicket),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  exportPortState: unary({
    summary: "Returns what moves with a port.",
    input: z.object(portReferenceShape),
    output: portState,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  importPortState: unary({
    summary: "Takes over what moved with a port.",
    input: z.object({ ...portReferenceShape, state: portState }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
