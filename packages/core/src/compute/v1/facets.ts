import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing, objectName } from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary, watch } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type Vm, type VmDisk, type VmNic, vm, vmDisk, vmNic } from "./virtual-machine.ts";

/** How a change of a running VM went. */
export interface HotChangeResult {
  readonly applied: "hot" | "needsRestart";
  /** Whether the guest was seen to use it, rather than the monitor to accept it. */
  readonly guestSaw: boolean;
  readonly detail: string;
}

/** Facet `hotAdd`. Limits: `cpuAdd`, `cpuRemove`, `memoryAdd`, `memoryRemove`, `diskAdd`, `nicAdd`. */
export interface HotAddFacet {
  resizeVm(
    input: {
      readonly vmId: string;
      readonly generation: Generation;
      readonly cpus?: number;
      readonly memoryBytes?: Bytes;
    },
    context: OperationContext,
  ): Promise<HotChangeResult>;
  attachDisk(
    input: { readonly vmId: string; readonly generation: Generation; readonly disk: VmDisk },
    context: OperationContext,
  ): Promise<HotChangeResult>;
  detachDisk(
    input: { readonly vmId: string; readonly generation: Generation; readonly diskId: string },
    context: OperationContext,
  ): Promise<HotChangeResult>;
  attachNic(
    input: { readonly vmId: string; readonly generation: Generation; readonly nic: VmNic },
    context: OperationContext,
  ): Promise<HotChangeResult>;
  detachNic(
    input: { readonly vmId: string; readonly generation: Generation; readonly nicId: string },
    context: OperationContext,
  ): Promise<HotChangeResult>;
}

/** One round of replication. */
export interface EpochReport {
  readonly epoch: number;
  /** How long the guest stood still, in milliseconds. */
  readonly pauseMs: number;
  readonly pages: number;
  readonly deviceBytes: Bytes;
}

/**
 * Facet `replica`: VMotion (`move`) and Fault Tolerance (`protect`) are one primitive. The VM is copied epoch by epoch to a standby on
 * another host; `promoteReplica` makes the standby the VM, and refuses unless its generation is the newest.
 */
export interface ReplicaFacet {
  openReplica(
    input: {
      readonly vmId: string;
      readonly generation: Generation;
      readonly targetHost: string;
      readonly mode: "move" | "protect";
      readonly epochMs: number;
    },
    context: OperationContext,
  ): Promise<{ readonly replicaId: string }>;
  watchEpochs(input: { readonly replicaId: string }, context: OperationContext): AsyncIterable<EpochReport>;
  promoteReplica(
    input: { readonly replicaId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<Vm>;
  closeReplica(input: { readonly replicaId: string }, context: OperationContext): Promise<void>;
}

/** Facet `nativeMigration`: the monitor's own live migration, where a probe found it to be safe. */
export interface NativeMigrationFacet {
  migrateVm(
    input: {
      readonly vmId: string;
      readonly generation: Generation;
      readonly targetHost: string;
      readonly maxDowntimeMs: number;
    },
    context: OperationContext,
  ): Promise<{ readonly vm: Vm; readonly downtimeMs: number }>;
}

/** Facet `templates`: fast clones of a running VM. */
export interface TemplatesFacet {
  createTemplate(
    input: { readonly vmId: string; readonly name: string },
    context: OperationContext,
  ): Promise<{ readonly templateId: string }>;
  deleteTemplate(input: { readonly templateId: string }, context: OperationContext): Promise<void>;
}

/** Facet `snapshotWithMemory`. */
export interface SnapshotWithMemoryFacet {
  saveMemory(
    input: { readonly vmId: string; readonly name: string },
    context: OperationContext,
  ): Promise<{ readonly memoryId: string }>;
  restoreMemory(
    input: { readonly vmId: string; readonly memoryId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<Vm>;
}

/** Facet `directPath`: a device of the host, given to a VM. */
export interface DirectPathFacet {
  listDevices(
    input: Readonly<Record<never, never>>,
    context: OperationContext,
  ): Promise<readonly { readonly address: string; readonly name: string }[]>;
}

/** Facet `guestAgent`. */
export interface GuestAgentFacet {
  runInGuest(
    input: { readonly vmId: string; readonly command: string; readonly args: readonly string[] },
    context: OperationContext,
  ): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;
}

const vmRefShape = { vmId: identifier, generation };
const hotChange = schemaOf<HotChangeResult>()(
  z.object({ applied: z.enum(["hot", "needsRestart"]), guestSaw: z.boolean(), detail: z.string() }),
);
const vmErrors = ["NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED"] as const;

/** The operations of {@link HotAddFacet}. */
export const hotAddOperations: OperationsOf<HotAddFacet> = {
  resizeVm: unary({
    summary: "Changes CPUs or memory of a running VM.",
    input: z.object({ ...vmRefShape, cpus: z.int().positive().exactOptional(), memoryBytes: bytes.exactOptional() }),
    output: hotChange,
    idempotent: true,
    errors: [...vmErrors, "OUT_OF_RANGE"],
  }),
  attachDisk: unary({
    summary: "Gives a running VM a disk.",
    input: z.object({ ...vmRefShape, disk: vmDisk }),
    output: hotChange,
    idempotent: true,
    errors: vmErrors,
  }),
  detachDisk: unary({
    summary: "Takes a disk from a running VM.",
    input: z.object({ ...vmRefShape, diskId: identifier }),
    output: hotChange,
    idempotent: true,
    errors: vmErrors,
  }),
  attachNic: unary({
    summary: "Gives a running VM a NIC.",
    input: z.object({ ...vmRefShape, nic: vmNic }),
    output: hotChange,
    idempotent: true,
    errors: vmErrors,
  }),
  detachNic: unary({
    summary: "Takes a NIC from a running VM.",
    input: z.object({ ...vmRefShape, nicId: identifier }),
    output: hotChange,
    idempotent: true,
    errors: vmErrors,
  }),
};

/** The operations of {@link ReplicaFacet}. */
export const replicaOperations: OperationsOf<ReplicaFacet> = {
  openReplica: unary({
    summary: "Begins to replicate a VM to another host.",
    input: z.object({
      ...vmRefShape,
      targetHost: z.string(),
      mode: z.enum(["move", "protect"]),
      epochMs: z.number().positive(),
    }),
    output: z.object({ replicaId: identifier }),
    idempotent: true,
    errors: vmErrors,
  }),
  watchEpochs: watch({
    summary: "Tells each round of replication.",
    input: z.object({ replicaId: identifier }),
    output: schemaOf<EpochReport>()(
      z.object({ epoch: z.int(), pauseMs: z.number(), pages: z.int(), deviceBytes: bytes }),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  promoteReplica: unary({
    summary: "Makes the standby the VM.",
    input: z.object({ replicaId: identifier, generation }),
    output: vm,
    idempotent: true,
    errors: vmErrors,
  }),
  closeReplica: unary({
    summary: "Ends the replication.",
    input: z.object({ replicaId: identifier }),
    output: nothing,
    idempotent: true,
    errors: [],
  }),
};

/** The operations of {@link NativeMigrationFacet}. */
export const nativeMigrationOperations: OperationsOf<NativeMigrationFacet> = {
  migrateVm: unary({
    summary: "Moves a running VM with the monitor's own live migration.",
    input: z.object({ ...vmRefShape, targetHost: z.string(), maxDowntimeMs: z.number().positive() }),
    output: z.object({ vm, downtimeMs: z.number() }),
    idempotent: false,
    errors: vmErrors,
  }),
};

/** The operations of {@link TemplatesFacet}. */
export const templatesOperations: OperationsOf<TemplatesFacet> = {
  createTemplate: unary({
    summary: "Makes a template of a running VM.",
    input: z.object({ vmId: identifier, name: objectName }),
    output: z.object({ templateId: identifier }),
    idempotent: true,
    errors: vmErrors,
  }),
  deleteTemplate: unary({
    summary: "Deletes a template.",
    input: z.object({ templateId: identifier }),
    output: nothing,
    idempotent: true,
    errors: [],
  }),
};

/** The operations of {@link SnapshotWithMemoryFacet}. */
export const snapshotWithMemoryOperations: OperationsOf<SnapshotWithMemoryFacet> = {
  saveMemory: unary({
    summary: "Saves a VM's memory and devices.",
    input: z.object({ vmId: identifier, name: objectName }),
    output: z.object({ memoryId: identifier }),
    idempotent: true,
    errors: vmErrors,
  }),
  restoreMemory: unary({
    summary: "Goes on from a saved memory.",
    input: z.object({ ...vmRefShape, memoryId: identifier }),
    output: vm,
    idempotent: true,
    errors: vmErrors,
  }),
};

/** The operations of {@link DirectPathFacet}. */
export const directPathOperations: OperationsOf<DirectPathFacet> = {
  listDevices: unary({
    summary: "Lists devices that can be given to VMs.",
    input: z.object({}),
    output: z.array(z.object({ address: z.string(), name: z.string() })),
    idempotent: true,
    errors: [],
  }),
};

/** The operations of {@link GuestAgentFacet}. */
export const guestAgentOperations: OperationsOf<GuestAgentFacet> = {
  runInGuest: unary({
    summary: "Runs a command in the guest.",
    input: z.object({ vmId: identifier, command: z.string(), args: z.array(z.string()) }),
    output: z.object({ exitCode: z.int(), stdout: z.string(), stderr: z.string() }),
    idempotent: false,
    errors: vmErrors,
  }),
};
