import { VdcError } from "@vdc-os/core";
import { placeVm, type PlacementHost } from "../../decisions/place-vm.ts";
import { hostKind } from "../../kinds/host-spec.ts";
import { switchKind } from "../../kinds/switch-spec.ts";
import { virtualMachineKind } from "../../kinds/virtual-machine-spec.ts";
import type { VolumeSpec, VolumeStatus } from "../../kinds/volume-spec.ts";
import type { Resource } from "../../resource/resource.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { ChosenHost, VmContext, VmObject } from "./vm-object.ts";

/** Hosts that VMs were given, by the VM's uid, for as long as the cache may not show it yet. */
export type RecentPlacements = Map<string, string>;

/** Options of {@link chooseHost}. */
export interface ChooseHostOptions {
  readonly recent: RecentPlacements;
  /** The VM's disks: it goes where all of them can be attached. */
  readonly volumes: readonly Resource<VolumeSpec, VolumeStatus>[];
}

/**
 * Chooses a host, from what the cache shows and what was chosen a moment ago, so that VMs that are placed at once do not count on the same memory. The choice is
 * recorded by the caller; the hypervisor's own admission has the last word.
 */
export async function chooseHost(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  { recent, volumes }: ChooseHostOptions,
): Promise<ChosenHost> {
  const { tenant } = object.metadata;
  const { signal } = context;
  const switches = await Promise.all(
    object.spec.nics.map((nic) => context.store.find(switchKind, { tenant, name: nic.switch }, { signal })),
  );
  const reaching = [
    ...switches.map((found) => found?.spec.hosts ?? []),
    ...volumes.flatMap(({ status: { accessibleHosts } }) => (accessibleHosts === undefined ? [] : [accessibleHosts])),
  ];
  const reachable =
    reaching.length === 0
      ? undefined
      : (reaching[0] ?? []).filter((host) => reaching.every((list) => list.includes(host)));
  // From here to the choice nothing is awaited: no other VM is placed in between.
  const hosts = context.cache.list(hostKind);
  const vms = context.cache.list(virtualMachineKind).filter((vm) => vm.metadata.uid !== object.metadata.uid);
  const unseen = new Set(vms.filter(({ status }) => status.host === undefined).map(({ metadata }) => metadata.uid));
  for (const uid of recent.keys()) if (!unseen.has(uid)) recent.delete(uid);
  const hostOf = (vm: VmObject): string | undefined => vm.status.host ?? recent.get(vm.metadata.uid);
  const candidates = hosts.map((host): PlacementHost => {
    const there = vms.filter((vm) => hostOf(vm) === host.metadata.name && needsMemory(vm));
    return {
      name: host.metadata.name,
      connected: host.status.state === "connected" && providers.compute.has(host.metadata.name),
      schedulable: host.spec.schedulable,
      cpus: host.status.cpus ?? 0,
      memoryBytes: host.status.memoryBytes ?? 0,
      promisedCpus: there.reduce((sum, vm) => sum + vm.spec.cpus, 0),
      promisedMemoryBytes: there.reduce((sum, vm) => sum + vm.spec.memoryBytes, 0),
      vms: there.length,
    };
  });
  const { cpus, memoryBytes, host } = object.spec;
  const decision = placeVm(
    { cpus, memoryBytes, ...(host === undefined ? {} : { host }), ...(reachable === undefined ? {} : { reachable }) },
    candidates,
  );
  if (decision.placed) {
    recent.set(object.metadata.uid, decision.host);
    return { name: decision.host, reason: decision.reason };
  }
  const reasons = Object.entries(decision.reasons).map(([name, reason]) => `'${name}' ${reason}`);
  // A host that is away may come back; one that is too small stays so.
  const mayChange =
    candidates.some((candidate) => !candidate.connected) &&
    (host === undefined || hosts.some(({ metadata }) => metadata.name === host));
  throw new VdcError(
    mayChange ? "UNAVAILABLE" : "RESOURCE_EXHAUSTED",
    `no host can take VM '${object.metadata.name}': ${reasons.length === 0 ? "the datacenter has no hosts" : reasons.join("; ")}`,
    { reason: "VDC_NO_HOST" },
  );
}

/** Whether a VM is on, or is to be; one that is to be off has its memory until it is. */
function needsMemory({ spec, status }: VmObject): boolean {
  return spec.power === "on" || (status.state !== undefined && status.state !== "off");
}
