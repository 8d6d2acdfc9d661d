import { VdcError } from "@vdc-os/core";
import { placeVm, type PlacementHost } from "../../decisions/place-vm.ts";
import { hostKind } from "../../kinds/host-spec.ts";
import { switchKind } from "../../kinds/switch-spec.ts";
import { virtualMachineKind } from "../../kinds/virtual-machine-spec.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { ChosenHost, VmContext, VmObject } from "./vm-object.ts";

/**
 * Chooses a host, from what the store says now. The choice is recorded by the caller; two VMs that are placed in the same moment may land on the same host,
 * and then the hypervisor's own admission has the last word.
 */
export async function chooseHost(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
): Promise<ChosenHost> {
  const { tenant } = object.metadata;
  const { signal } = context;
  const hosts = context.cache.list(hostKind);
  const vms = context.cache.list(virtualMachineKind).filter((vm) => vm.metadata.uid !== object.metadata.uid);
  const switches = await Promise.all(
    object.spec.nics.map((nic) => context.store.find(switchKind, { tenant, name: nic.switch }, { signal })),
  );
  const members = switches.map((found) => found?.spec.hosts ?? []);
  const reachable =
    members.length === 0
      ? undefined
      : (members[0] ?? []).filter((host) => members.every((list) => list.includes(host)));
  const candidates = hosts.map((host): PlacementHost => {
    const there = vms.filter((vm) => vm.status.host === host.metadata.name && vm.spec.power === "on");
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
  if (decision.placed) return { name: decision.host, reason: decision.reason };
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
