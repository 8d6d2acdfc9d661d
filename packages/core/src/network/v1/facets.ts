import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { stream, unary } from "../../extension-point/operation.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type PortGate, type PortState, portState } from "./port.ts";
import { type PortSetting, portSetting, type SwitchSpec, switchSpec } from "./switch-spec.ts";

/** Names a port. */
export interface PortReference {
  readonly switchId: string;
  readonly portKey: string;
}

/**
 * What the facets `teaming`, `pvlan`, `shaping`, `securityPolicy`, `accessControl`, `mirroring`, `flowExport`, `discovery` and `multicastSnooping`
 * have in common: they are settings of the spec, and this reads back what is really in force, which may be less than what was asked.
 */
export interface EffectiveSettingFacet {
  /** The setting that the data path applies to a port now. */
  effectiveSetting(input: PortReference, context: OperationContext): Promise<PortSetting>;
}

/** Facet `gate`: the network part of VMotion and Fault Tolerance (output commit). */
export interface GateFacet {
  setGate(
    input: PortReference & { readonly gate: PortGate; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  /** How many frames are held now. A mark for `releaseHeld`. */
  heldFrames(input: PortReference, context: OperationContext): Promise<{ readonly frames: number }>;
  /** Lets the first `frames` held frames through, in order; the gate stays as it is. */
  releaseHeld(
    input: PortReference & { readonly frames: number; readonly generation: Generation },
    context: OperationContext,
  ): Promise<{ readonly released: number }>;
  /** Forgets the held frames. */
  discardHeld(
    input: PortReference & { readonly generation: Generation },
    context: OperationContext,
  ): Promise<{ readonly discarded: number }>;
}

/** A port's move to another host, begun by `prepareMigration`. It outlives the source host. */
export interface MigrationTicket {
  readonly ticket: string;
  readonly switchId: string;
  readonly portKey: string;
  readonly targetHost: string;
  readonly state: "prepared" | "activated" | "completed" | "aborted";
}

/** Facet `migration` (network VMotion; OVN's requested-chassis with activation). Never stuck: a ticket can always be completed or aborted. */
export interface PortMigrationFacet {
  prepareMigration(
    input: PortReference & { readonly targetHost: string },
    context: OperationContext,
  ): Promise<MigrationTicket>;
  /** Switches the port over to the target host, in one step. */
  activateMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  /** Takes the source's part down. */
  completeMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  abortMigration(input: { readonly ticket: string }, context: OperationContext): Promise<MigrationTicket>;
  exportPortState(input: PortReference, context: OperationContext): Promise<PortState>;
  importPortState(input: PortReference & { readonly state: PortState }, context: OperationContext): Promise<void>;
}

/** What a check of the paths found. */
export interface HealthFinding {
  readonly check: "vlan" | "mtu" | "teaming" | "path";
  readonly from: string;
  readonly to: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Facet `healthCheck`: sends real frames between members. */
export interface HealthCheckFacet {
  runHealthCheck(
    input: { readonly switchId: string; readonly checks: readonly HealthFinding["check"][] },
    context: OperationContext,
  ): Promise<readonly HealthFinding[]>;
}

/** Facet `configArchive`. */
export interface ConfigArchiveFacet {
  exportConfig(input: { readonly switchId: string }, context: OperationContext): Promise<SwitchSpec>;
  /** Applies a spec, and takes it back by itself unless it is confirmed in time. */
  applyWithRollback(
    input: { readonly spec: SwitchSpec; readonly generation: number; readonly confirmWithinMs: number },
    context: OperationContext,
  ): Promise<{ readonly rollbackToken: string }>;
  confirmApply(input: { readonly rollbackToken: string }, context: OperationContext): Promise<void>;
}

/** A captured frame. */
export interface CapturedFrame {
  /** Microseconds since the capture began. */
  readonly atMicroseconds: number;
  readonly direction: "in" | "out";
  readonly originalLength: number;
  /** The frame, base64, cut to the capture's snap length. */
  readonly data: string;
}

/** Facet `capture`. */
export interface CaptureFacet {
  capturePort(
    input: PortReference & { readonly snapLength: number; readonly maxFrames: number },
    context: OperationContext,
  ): AsyncIterable<CapturedFrame>;
}

/** Facet `explain`: what the switch would do with a frame, and why (ofproto/trace, ovn-trace). */
export interface ExplainFacet {
  explainFrame(
    input: PortReference & { readonly frame: string },
    context: OperationContext,
  ): Promise<{
    readonly verdict: "forward" | "flood" | "drop";
    readonly reason: string;
    readonly ports: readonly string[];
  }>;
}

const portRefShape = { switchId: identifier, portKey: identifier };
const gate = z.enum(["open", "hold", "drop"]);
const ticketRef = z.object({ ticket: identifier });
const check = z.enum(["vlan", "mtu", "teaming", "path"]);

const migrationTicket = schemaOf<MigrationTicket>()(
  z.object({
    ticket: identifier,
    switchId: identifier,
    portKey: identifier,
    targetHost: z.string(),
    state: z.enum(["prepared", "activated", "completed", "aborted"]),
  }),
);

/** The operations of {@link EffectiveSettingFacet}. */
export const effectiveSettingOperations: OperationsOf<EffectiveSettingFacet> = {
  effectiveSetting: unary({
    summary: "Reads back the setting that is in force for a port.",
    input: z.object(portRefShape),
    output: portSetting,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link GateFacet}. */
export const gateOperations: OperationsOf<GateFacet> = {
  setGate: unary({
    summary: "Opens, holds or closes a port for what its VM sends.",
    input: z.object({ ...portRefShape, gate, generation }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  heldFrames: unary({
    summary: "Tells how many frames are held.",
    input: z.object(portRefShape),
    output: z.object({ frames: z.int() }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  releaseHeld: unary({
    summary: "Lets the first held frames through.",
    input: z.object({ ...portRefShape, frames: z.int().nonnegative(), generation }),
    output: z.object({ released: z.int() }),
    idempotent: false,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  discardHeld: unary({
    summary: "Forgets the held frames.",
    input: z.object({ ...portRefShape, generation }),
    output: z.object({ discarded: z.int() }),
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};

const ticketErrors = ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"] as const;

/** The operations of {@link PortMigrationFacet}. */
export const portMigrationOperations: OperationsOf<PortMigrationFacet> = {
  prepareMigration: unary({
    summary: "Readies a port on another host.",
    input: z.object({ ...portRefShape, targetHost: z.string() }),
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
  exportPortState: unary({
    summary: "Returns what moves with a port.",
    input: z.object(portRefShape),
    output: portState,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  importPortState: unary({
    summary: "Takes over what moved with a port.",
    input: z.object({ ...portRefShape, state: portState }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link HealthCheckFacet}. */
export const healthCheckOperations: OperationsOf<HealthCheckFacet> = {
  runHealthCheck: unary({
    summary: "Checks the paths between members with real frames.",
    input: z.object({ switchId: identifier, checks: z.array(check) }),
    output: z.array(z.object({ check, from: z.string(), to: z.string(), ok: z.boolean(), detail: z.string() })),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link ConfigArchiveFacet}. */
export const configArchiveOperations: OperationsOf<ConfigArchiveFacet> = {
  exportConfig: unary({
    summary: "Returns the spec in force.",
    input: z.object({ switchId: identifier }),
    output: switchSpec,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  applyWithRollback: unary({
    summary: "Applies a spec, and takes it back unless it is confirmed in time.",
    input: z.object({ spec: switchSpec, generation: z.int(), confirmWithinMs: z.number().positive() }),
    output: z.object({ rollbackToken: identifier }),
    idempotent: false,
    errors: ["FAILED_PRECONDITION", "ABORTED"],
  }),
  confirmApply: unary({
    summary: "Keeps an applied spec.",
    input: z.object({ rollbackToken: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link CaptureFacet}. */
export const captureOperations: OperationsOf<CaptureFacet> = {
  capturePort: stream({
    summary: "Streams the frames of a port.",
    input: z.object({ ...portRefShape, snapLength: z.int().min(14).max(65535), maxFrames: z.int().positive() }),
    output: schemaOf<CapturedFrame>()(
      z.object({
        atMicroseconds: z.number(),
        direction: z.enum(["in", "out"]),
        originalLength: z.int(),
        data: z.string(),
      }),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link ExplainFacet}. */
export const explainOperations: OperationsOf<ExplainFacet> = {
  explainFrame: unary({
    summary: "Tells what would be done with a frame, and why.",
    input: z.object({ ...portRefShape, frame: z.string() }),
    output: z.object({ verdict: z.enum(["forward", "flood", "drop"]), reason: z.string(), ports: z.array(z.string()) }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
