import { z } from "zod";
import {
  type Generation,
  generation,
  identifier,
  type OwnerStamp,
  objectName,
  ownerStamp,
} from "../../contract/ownership.ts";
import { macAddress, type PortAttachment, portAttachment } from "../../network/v1/index.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type VolumeTransport, volumeTransport } from "../../storage/v1/index.ts";

/** How a VM starts. */
export type BootSource =
  | {
      /** A kernel that the monitor loads. Paths are the host's. */
      readonly kind: "kernel";
      readonly kernel: string;
      readonly initrd?: string;
      readonly commandLine: string;
    }
  | { readonly kind: "disk" };

/** A disk of a VM: the volume's attachment, as data. */
export interface VmDisk {
  /** Unique in the VM: `disk0`. Guests see it as the serial number. */
  readonly id: string;
  readonly transport: VolumeTransport;
  readonly readOnly: boolean;
}

/** A NIC of a VM: the port's binding, as data. */
export interface VmNic {
  /** Unique in the VM: `nic0`. */
  readonly id: string;
  readonly mac: string;
  readonly attachment: PortAttachment;
}

/** What a VM is made of. */
export interface VmSpec {
  readonly cpus: number;
  /** How many CPUs it can grow to while it runs. Defaults to `cpus`. */
  readonly maxCpus?: number;
  readonly memoryBytes: Bytes;
  /** How much memory it can grow to while it runs. Defaults to `memoryBytes`. */
  readonly maxMemoryBytes?: Bytes;
  readonly boot: BootSource;
  readonly disks: readonly VmDisk[];
  readonly nics: readonly VmNic[];
}

/** Input of `createVm`. */
export interface CreateVm {
  /** Makes the call idempotent, with the spec. */
  readonly name: string;
  readonly spec: VmSpec;
  readonly owner?: OwnerStamp;
}

/** Whether a VM runs. `crashed`: the guest or its monitor failed. `unknown`: the monitor does not answer. */
export type PowerState = "off" | "starting" | "running" | "paused" | "stopping" | "crashed" | "unknown";

/** A VM on a host. */
export interface Vm {
  readonly vmId: string;
  readonly name: string;
  readonly spec: VmSpec;
  readonly state: PowerState;
  /** The owner's generation with which it was last started. */
  readonly generation?: Generation;
  readonly startedAt?: Timestamp;
  /** Why it is `crashed` or `unknown`, or how it last ended. */
  readonly detail?: string;
  readonly owner?: OwnerStamp;
}

/** What a VM uses. Counters begin at its start. */
export interface VmStatistics {
  readonly vmId: string;
  readonly at: Timestamp;
  /** Host CPU time spent, in milliseconds. */
  readonly cpuTimeMs: number;
  /** Host memory that is really taken. */
  readonly residentBytes: Bytes;
  readonly disks: readonly {
    readonly id: string;
    readonly readBytes: Bytes;
    readonly writtenBytes: Bytes;
    readonly readOperations: number;
    readonly writeOperations: number;
  }[];
}

/** What a host can give to VMs. */
export interface ComputeInventory {
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  /** Memory that is promised to VMs that run. */
  readonly promisedMemoryBytes: Bytes;
  /** How VMs are run, and how that was found out: `kvm` only where a guest really ran under it. */
  readonly accelerator: { readonly kind: string; readonly evidence: string };
  readonly monitorVersion: string;
}

/** Schema of {@link VmDisk}. */
export const vmDisk: z.ZodType<VmDisk> = schemaOf<VmDisk>()(
  z.object({ id: identifier, transport: volumeTransport, readOnly: z.boolean() }),
);

/** Schema of {@link VmNic}. */
export const vmNic: z.ZodType<VmNic> = schemaOf<VmNic>()(
  z.object({ id: identifier, mac: macAddress, attachment: portAttachment }),
);

/** Schema of {@link VmSpec}. */
export const vmSpec: z.ZodType<VmSpec> = schemaOf<VmSpec>()(
  z.object({
    cpus: z.int().min(1).max(1024),
    maxCpus: z.int().min(1).max(1024).exactOptional(),
    memoryBytes: bytes,
    maxMemoryBytes: bytes.exactOptional(),
    boot: z.discriminatedUnion("kind", [
      z.object({
        kind: z.literal("kernel"),
        kernel: z.string(),
        initrd: z.string().exactOptional(),
        commandLine: z.string(),
      }),
      z.object({ kind: z.literal("disk") }),
    ]),
    disks: z.array(vmDisk),
    nics: z.array(vmNic),
  }),
);

/** Schema of {@link CreateVm}. */
export const createVm: z.ZodType<CreateVm> = schemaOf<CreateVm>()(
  z.object({ name: objectName, spec: vmSpec, owner: ownerStamp.exactOptional() }),
);

/** Schema of {@link Vm}. */
export const vm: z.ZodType<Vm> = schemaOf<Vm>()(
  z.object({
    vmId: identifier,
    name: z.string(),
    spec: vmSpec,
    state: z.enum(["off", "starting", "running", "paused", "stopping", "crashed", "unknown"]),
    generation: generation.exactOptional(),
    startedAt: timestamp.exactOptional(),
    detail: z.string().exactOptional(),
    owner: ownerStamp.exactOptional(),
  }),
);

/** Schema of {@link VmStatistics}. */
export const vmStatistics: z.ZodType<VmStatistics> = schemaOf<VmStatistics>()(
  z.object({
    vmId: identifier,
    at: timestamp,
    cpuTimeMs: z.number(),
    residentBytes: bytes,
    disks: z.array(
      z.object({
        id: z.string(),
        readBytes: bytes,
        writtenBytes: bytes,
        readOperations: z.number(),
        writeOperations: z.number(),
      }),
    ),
  }),
);

/** Schema of {@link ComputeInventory}. */
export const computeInventory: z.ZodType<ComputeInventory> = schemaOf<ComputeInventory>()(
  z.object({
    cpus: z.number(),
    memoryBytes: bytes,
    promisedMemoryBytes: bytes,
    accelerator: z.object({ kind: z.string(), evidence: z.string() }),
    monitorVersion: z.string(),
  }),
);
