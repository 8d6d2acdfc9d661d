import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { type WatchItem, watchItemOf } from "../../contract/watch-item.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { stream, unary, watch } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import {
  type DirectPathFacet,
  directPathOperations,
  type GuestAgentFacet,
  guestAgentOperations,
  type HotAddFacet,
  hotAddOperations,
  type NativeMigrationFacet,
  nativeMigrationOperations,
  type ReplicaFacet,
  replicaOperations,
  type SnapshotWithMemoryFacet,
  snapshotWithMemoryOperations,
  type TemplatesFacet,
  templatesOperations,
} from "./facets.ts";
import {
  type DiskCopyFacet,
  diskCopyOperations,
  type DiskResizeFacet,
  diskResizeOperations,
  type StorageMigrationFacet,
  storageMigrationOperations,
} from "./storage-migration.ts";
import {
  type ComputeInventory,
  type CreateVm,
  computeInventory,
  createVm,
  type Vm,
  type VmStatistics,
  vm,
  vmStatistics,
} from "./virtual-machine.ts";

/** The optional parts of {@link Hypervisor}. */
export interface ComputeFacets {
  readonly hotAdd?: HotAddFacet;
  readonly replica?: ReplicaFacet;
  readonly nativeMigration?: NativeMigrationFacet;
  readonly templates?: TemplatesFacet;
  readonly snapshotWithMemory?: SnapshotWithMemoryFacet;
  readonly directPath?: DirectPathFacet;
  readonly guestAgent?: GuestAgentFacet;
  readonly storageMigration?: StorageMigrationFacet;
  readonly diskCopy?: DiskCopyFacet;
  readonly diskResize?: DiskResizeFacet;
}

/**
 * The vCompute API: the hypervisor of one host (terms of Nova and libvirt). It runs in the host's runtime; its provider name is the host's name.
 *
 * - `createVm` defines, `startVm` runs. Both are idempotent.
 * - VMs go on when the runtime or the manager ends, and are found again when it returns.
 * - A start with a lower generation than one seen before is fenced, so that a VM never runs for two owners.
 * - Calls may come all at once; one that finds its VM busy may fail with `ABORTED`, and the caller tries again. A call that is given up, or that its
 *   provider's end cuts off, is done or not at all, and a repeat completes it.
 * - Names, ids and paths of a spec are taken as they are, or refused with `INVALID_ARGUMENT`; none is an option of the monitor.
 */
export interface Hypervisor {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  computeInventory(input: Readonly<Record<never, never>>, context: OperationContext): Promise<ComputeInventory>;
  createVm(input: CreateVm, context: OperationContext): Promise<Vm>;
  /** Forgets a VM; one that runs fails with `FAILED_PRECONDITION`. Deleting what is absent succeeds. */
  deleteVm(input: { readonly vmId: string }, context: OperationContext): Promise<void>;
  getVm(input: { readonly vmId: string }, context: OperationContext): Promise<Vm>;
  listVms(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
    context: OperationContext,
  ): Promise<Page<Vm>>;
  watchVms(input: Readonly<Record<never, never>>, context: OperationContext): AsyncIterable<WatchItem<Vm>>;
  /** Resolves when the VM's CPUs run. The guest may still be booting. */
  startVm(input: { readonly vmId: string; readonly generation: Generation }, context: OperationContext): Promise<Vm>;
  /**
   * `guest` asks the guest to shut down, and falls back to `hard` after `guestTimeoutMs` (default 30000); `hard` pulls the plug.
   * Resolves when nothing of the VM runs any more. Stopping what is off succeeds.
   */
  stopVm(
    input: {
      readonly vmId: string;
      readonly mode: "guest" | "hard";
      readonly guestTimeoutMs?: number;
      readonly generation?: Generation;
    },
    context: OperationContext,
  ): Promise<Vm>;
  /** What the guest wrote on its first serial port, from a byte offset on; with `follow`, also what it writes later, until the VM stops. */
  readConsole(
    input: { readonly vmId: string; readonly offset?: Bytes; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncIterable<{ readonly offset: Bytes; readonly text: string }>;
  /** Types text into the guest's first serial port. */
  writeConsole(input: { readonly vmId: string; readonly text: string }, context: OperationContext): Promise<void>;
  vmStatistics(input: { readonly vmId: string }, context: OperationContext): Promise<VmStatistics>;
  readonly facets?: ComputeFacets;
}

const empty = z.object({});
const vmRef = z.object({ vmId: identifier });

/** The extension point for hypervisors: the vCompute API. */
export const hypervisor: ExtensionPoint<Hypervisor> = defineExtensionPoint<Hypervisor>()({
  id: "vdc.compute",
  version: "1.0",
  summary: "Virtual machines on a host.",
  operations: {
    describe: describeOperation,
    computeInventory: unary({
      summary: "Tells what the host can give to VMs.",
      input: empty,
      output: computeInventory,
      idempotent: true,
      errors: [],
    }),
    createVm: unary({
      summary: "Defines a VM.",
      input: createVm,
      output: vm,
      idempotent: true,
      errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "ABORTED"],
    }),
    deleteVm: unary({
      summary: "Forgets a VM; deleting what is absent succeeds.",
      input: vmRef,
      output: nothing,
      idempotent: true,
      errors: ["FAILED_PRECONDITION", "ABORTED"],
    }),
    getVm: unary({ summary: "Returns a VM.", input: vmRef, output: vm, idempotent: true, errors: ["NOT_FOUND"] }),
    listVms: unary({
      summary: "Lists VMs by page.",
      input: z.object({
        ...pageRequestShape,
        ownerDatacenter: z.string().exactOptional(),
        name: z.string().exactOptional(),
      }),
      output: pageOf(vm),
      idempotent: true,
      errors: ["ABORTED"],
    }),
    watchVms: watch({
      summary: "Tells how VMs change.",
      input: empty,
      output: watchItemOf(vm),
      idempotent: true,
      errors: [],
    }),
    startVm: unary({
      summary: "Runs a VM.",
      input: z.object({ vmId: identifier, generation }),
      output: vm,
      idempotent: true,
      errors: ["NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED"],
    }),
    stopVm: unary({
      summary: "Stops a VM; stopping what is off succeeds.",
      input: z.object({
        vmId: identifier,
        mode: z.enum(["guest", "hard"]),
        guestTimeoutMs: z.number().nonnegative().exactOptional(),
        generation: generation.exactOptional(),
      }),
      output: vm,
      idempotent: true,
      errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"],
    }),
    readConsole: stream({
      summary: "Streams what the guest wrote on its serial port.",
      input: z.object({ vmId: identifier, offset: bytes.exactOptional(), follow: z.boolean().exactOptional() }),
      output: z.object({ offset: bytes, text: z.string() }),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    writeConsole: unary({
      summary: "Types text into the guest's serial port.",
      input: z.object({ vmId: identifier, text: z.string().max(4096) }),
      output: nothing,
      idempotent: false,
      errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
    }),
    vmStatistics: unary({
      summary: "Tells what a VM uses.",
      input: vmRef,
      output: vmStatistics,
      idempotent: true,
      errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
    }),
  },
  facets: {
    hotAdd: hotAddOperations,
    replica: replicaOperations,
    nativeMigration: nativeMigrationOperations,
    templates: templatesOperations,
    snapshotWithMemory: snapshotWithMemoryOperations,
    directPath: directPathOperations,
    guestAgent: guestAgentOperations,
    storageMigration: storageMigrationOperations,
    diskCopy: diskCopyOperations,
    diskResize: diskResizeOperations,
  },
});
