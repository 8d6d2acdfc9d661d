import type { Calls, Description } from "@vdc-os/core";
import type { Hypervisor } from "@vdc-os/core/compute/v1";
import type { EventBus, KernelApi, StartReport } from "@vdc-os/core/kernel";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { ControlPlaneStatus } from "../controller/control-plane.ts";
import type { SweepReport } from "../journal/sweep.ts";
import type { CloudInstanceInput, CloudInstanceSpec, CloudInstanceStatus } from "../kinds/cloud-instance-spec.ts";
import type { HostSpec, HostStatus } from "../kinds/host-spec.ts";
import type { ImageSpec, ImageStatus } from "../kinds/image-spec.ts";
import type { VirtualMachineInput, VirtualMachineSpec, VirtualMachineStatus } from "../kinds/virtual-machine-spec.ts";
import type { StoragePolicyInput, StoragePolicySpec, StoragePolicyStatus } from "../kinds/storage-policy-spec.ts";
import type { StoragePoolInput, StoragePoolSpec, StoragePoolStatus } from "../kinds/storage-pool-spec.ts";
import type { VolumeSnapshotSpec, VolumeSnapshotStatus } from "../kinds/volume-snapshot-spec.ts";
import type { TaskManager } from "../task/task-manager.ts";
import type { KindClient, ObjectName } from "./kind-client.ts";
import type { SwitchClient } from "./switch-client.ts";
import type { VolumeClient } from "./volume-client.ts";

/** How long a datacenter lives: `durable` ones outlive their manager, `ephemeral` ones leave nothing behind. */
export type DatacenterMode = "durable" | "ephemeral";

/** The VMs of a datacenter, and their consoles. */
export interface VirtualMachineClient
  extends KindClient<VirtualMachineSpec, VirtualMachineStatus, VirtualMachineInput> {
  /** What the guest writes on its first serial port, from its beginning; with `follow`, also what it writes later. */
  readConsole(
    name: ObjectName,
    options?: { readonly offset?: number; readonly follow?: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<{ readonly offset: number; readonly text: string }>;
  /** Waits until a line of the console matches. Returns the match. Fails with `DEADLINE_EXCEEDED`, and shows the console's end. */
  waitForConsole(
    name: ObjectName,
    pattern: RegExp,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<RegExpExecArray>;
  statistics(
    name: ObjectName,
    options?: { readonly signal?: AbortSignal },
  ): ReturnType<Calls<Hypervisor>["vmStatistics"]>;
}

/** A virtual datacenter. Made by `createDatacenter`. */
export interface Datacenter extends AsyncDisposable {
  /** New for each datacenter, and stamped on all that is made for it. */
  readonly uid: string;
  readonly name: string;
  readonly directory: string;
  readonly mode: DatacenterMode;
  /** Handles on providers, for what the kinds do not cover. */
  readonly kernel: KernelApi;
  /** How the plugins started. */
  readonly startReport: StartReport;
  readonly events: EventBus;
  readonly tasks: TaskManager;
  readonly hosts: KindClient<HostSpec, HostStatus, HostSpec>;
  readonly volumes: VolumeClient;
  readonly volumeSnapshots: KindClient<VolumeSnapshotSpec, VolumeSnapshotStatus, VolumeSnapshotSpec>;
  /** What volumes must have of their storage: see `VolumeSpec.policy`. */
  readonly storagePolicies: KindClient<StoragePolicySpec, StoragePolicyStatus, StoragePolicyInput>;
  /** One for each storage provider, under its name: space, alarms and health, looked at from time to time. Watch it to hear of alarms. */
  readonly storagePools: KindClient<StoragePoolSpec, StoragePoolStatus, StoragePoolInput>;
  readonly images: KindClient<ImageSpec, ImageStatus, ImageSpec>;
  /** Distributed switches, and what can be asked of them: ports and rates, captures, explanations, health, trials. */
  readonly switches: SwitchClient;
  readonly vms: VirtualMachineClient;
  readonly cloudInstances: KindClient<CloudInstanceSpec, CloudInstanceStatus, CloudInstanceInput>;
  readonly secrets: Calls<SecretStore>;
  /** What every provider says of itself, by point and name. */
  describe(): Promise<readonly { readonly point: string; readonly name: string; readonly description: Description }[]>;
  /** What the controllers are doing. */
  status(): ControlPlaneStatus;
  /** Removes what a crash left behind at providers. Runs by itself when the datacenter opens, and from time to time. */
  sweep(options?: { readonly dryRun?: boolean; readonly signal?: AbortSignal }): Promise<SweepReport>;
  /** Leaves a durable datacenter running; removes everything of an ephemeral one. */
  close(): Promise<void>;
  /** Removes everything of the datacenter, its folder included, whatever its mode. */
  destroy(): Promise<void>;
}
