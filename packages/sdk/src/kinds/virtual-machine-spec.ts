import { type Bytes, bytes, jsonObject, type JsonObject, objectName, schemaOf } from "@vdc-os/core";
import { macAddress } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";
import { type PortPolicy, portPolicy } from "./port-policy.ts";

/** A disk of a VM: a volume that it owns, or one that it is given. */
export type VmDiskSpec =
  /** A linked clone of a volume. It is the VM's own, and goes with it. */
  | { readonly kind: "clone"; readonly volume: string }
  /** A new empty volume. It is the VM's own, and goes with it. */
  | { readonly kind: "empty"; readonly storage: string; readonly capacityBytes: Bytes }
  /** The same, where a `StoragePolicy` puts it. */
  | { readonly kind: "empty"; readonly policy: string; readonly capacityBytes: Bytes }
  /** A volume that stays when the VM goes. */
  | { readonly kind: "volume"; readonly volume: string };

/** A NIC of a VM. */
export interface VmNicSpec {
  readonly switch: string;
  readonly portGroup: string;
  /** Defaults to a locally administered address that follows from the VM's uid. */
  readonly mac?: string;
  /** Settings of its own, where the port group's `overrides` let it. They are merged when the port is connected: at the VM's start. */
  readonly policy?: PortPolicy;
  /** The guest's IP addresses, where they are known: for DHCP, and for the addresses that the port may send from. */
  readonly addresses?: readonly string[];
  /** The network provider's own data of the port. */
  readonly opaque?: JsonObject;
}

/** What a VM must be. */
export interface VirtualMachineSpec {
  /** The image it boots from. Its volume, if it has one, is cloned as the first disk. */
  readonly image: string;
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  /** Words that are added to the image's kernel command line. */
  readonly commandLine: string;
  /** Disks after the image's own. */
  readonly disks: readonly VmDiskSpec[];
  readonly nics: readonly VmNicSpec[];
  /** The host it must run on. Defaults to where the scheduler puts it. */
  readonly host?: string;
  readonly power: "on" | "off";
}

/** What a VM is. */
export interface VirtualMachineStatus {
  readonly host?: string;
  readonly vmId?: string;
  readonly state?: string;
  /** Why it was placed there. */
  readonly placement?: string;
  /** The owner's generation of its disks, ports and of the VM itself. Higher after each start. */
  readonly generation?: number;
  readonly startedAt?: number;
  /** How often in a row it ended soon after its start. */
  readonly quickEnds?: number;
  /** Until when it is not started again, in milliseconds since 1970. */
  readonly restartAfter?: number;
  readonly disks?: readonly { readonly id: string; readonly volume: string; readonly owned: boolean }[];
  readonly nics?: readonly { readonly id: string; readonly portKey: string; readonly mac: string }[];
}

/** Schema of {@link VirtualMachineSpec}. */
export const virtualMachineSpec: z.ZodType<VirtualMachineSpec> = schemaOf<VirtualMachineSpec>()(
  z.object({
    image: objectName,
    cpus: z.int().min(1).max(1024),
    memoryBytes: bytes,
    commandLine: z.string().max(4096).default(""),
    disks: z
      .array(
        z.union([
          z.strictObject({ kind: z.literal("clone"), volume: objectName }),
          z.strictObject({ kind: z.literal("empty"), storage: z.string(), capacityBytes: bytes }),
          z.strictObject({ kind: z.literal("empty"), policy: objectName, capacityBytes: bytes }),
          z.strictObject({ kind: z.literal("volume"), volume: objectName }),
        ]),
      )
      .default([]),
    nics: z
      .array(
        z.object({
          switch: objectName,
          portGroup: objectName,
          mac: macAddress.exactOptional(),
          policy: portPolicy.exactOptional(),
          addresses: z.array(z.union([z.ipv4(), z.ipv6()])).exactOptional(),
          opaque: jsonObject.exactOptional(),
        }),
      )
      .default([]),
    host: z.string().exactOptional(),
    power: z.enum(["on", "off"]).default("on"),
  }),
);

/** Schema of {@link VirtualMachineStatus}. */
export const virtualMachineStatus: z.ZodType<VirtualMachineStatus> = schemaOf<VirtualMachineStatus>()(
  z.object({
    host: z.string().exactOptional(),
    vmId: z.string().exactOptional(),
    state: z.string().exactOptional(),
    placement: z.string().exactOptional(),
    generation: z.int().exactOptional(),
    startedAt: z.number().exactOptional(),
    quickEnds: z.int().exactOptional(),
    restartAfter: z.number().exactOptional(),
    disks: z.array(z.object({ id: z.string(), volume: z.string(), owned: z.boolean() })).exactOptional(),
    nics: z.array(z.object({ id: z.string(), portKey: z.string(), mac: z.string() })).exactOptional(),
  }),
);

/** A VM as a caller asks for it. */
export type VirtualMachineInput = Pick<VirtualMachineSpec, "image" | "cpus" | "memoryBytes"> &
  Partial<VirtualMachineSpec>;

/** The finalizer that holds a VM until nothing of it is left. */
export const virtualMachineFinalizer = "vdc.vm";

/** Virtual machines. */
export const virtualMachineKind: Kind<VirtualMachineSpec, VirtualMachineStatus, VirtualMachineInput> = defineKind<
  VirtualMachineSpec,
  VirtualMachineStatus,
  VirtualMachineInput
>()({
  kind: "VirtualMachine",
  apiVersion: "v1",
  spec: virtualMachineSpec,
  status: virtualMachineStatus,
  initialStatus: {},
  immutable: ["/image", "/disks", "/nics", "/host"],
  finalizers: [virtualMachineFinalizer],
  usage: (spec) => ({ vcpus: spec.cpus, memoryBytes: spec.memoryBytes }),
});
