import type { Datacenter, TaskHandle, VirtualMachineInput } from "@vdc-os/sdk";
import { expect } from "vitest";
import { owners, repeated, takeInventory, type WorldInventory } from "./world-inventory.ts";
import type { SimulatedDatacenter } from "./open-simulated-datacenter.ts";

/** The memory of a VM of the tests, in bytes. */
export const vmMemoryBytes: number = 2 ** 28;

/** How long a test waits for what must happen, in milliseconds. */
export const patienceMs = 30_000;

/** Makes the golden image `golden` with a volume, and the switch `lan` with the port group `web` on all hosts. */
export async function prepare({ dc, hosts }: SimulatedDatacenter): Promise<void> {
  await dc.volumes.createAndWait({ name: "golden", spec: { storage: "storage", capacityBytes: 2 ** 26 } });
  const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;
  await dc.images.createAndWait({ name: "golden", spec: { boot, volume: "golden" } });
  await dc.switches.createAndWait({ name: "lan", spec: { network: "network", hosts, portGroups: [{ name: "web" }] } });
}

/** A VM with a linked clone of the image's volume, and a NIC. */
export const vmSpec: VirtualMachineInput = {
  image: "golden",
  cpus: 1,
  memoryBytes: vmMemoryBytes,
  nics: [{ switch: "lan", portGroup: "web" }],
};

/** Asks for VMs, and does not wait for them. */
export async function requestVms(
  dc: Datacenter,
  names: readonly string[],
  more: Partial<VirtualMachineInput> = {},
): Promise<readonly TaskHandle[]> {
  const accepted = await Promise.all(names.map((name) => dc.vms.create({ name, spec: { ...vmSpec, ...more } })));
  return accepted.map(({ task }) => task);
}

/** Waits for tasks. */
export async function waitForAll(tasks: readonly TaskHandle[], timeoutMs: number = patienceMs): Promise<void> {
  await Promise.all(tasks.map((task) => task.wait({ timeoutMs })));
}

/** Names with a number: `web-1` and so on. */
export function numbered(prefix: string, count: number, from: number = 1): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${from + index}`);
}

/**
 * Compares what the datacenter says with what there is outside: one volume for each volume object, one running VM for each VM object, on the host that it says and
 * with its own disk and port, and nothing else. No host has promised more memory than it has.
 */
export async function expectOneOfEach({ dc, world }: SimulatedDatacenter): Promise<WorldInventory> {
  const [vms, volumes, found] = await Promise.all([dc.vms.list(), dc.volumes.list(), takeInventory(world)]);
  const uids = (objects: readonly { readonly metadata: { readonly uid: string } }[]) =>
    objects.map(({ metadata }) => metadata.uid).toSorted();
  expect(owners(found.volumes).toSorted()).toEqual(uids(volumes));
  expect(owners(found.vms).toSorted()).toEqual(uids(vms));
  expect(found.vms.filter(({ state }) => state !== "running")).toEqual([]);
  const places = new Map(found.vms.map((vm) => [vm.owner?.uid, vm]));
  for (const vm of vms) {
    const place = places.get(vm.metadata.uid);
    expect({ host: vm.status.host, vmId: vm.status.vmId, generation: vm.status.generation }).toEqual({
      host: place?.host,
      vmId: place?.vmId,
      generation: place?.generation,
    });
  }
  expect(found.ports.map(({ portKey }) => portKey).toSorted()).toEqual(
    vms.flatMap((vm) => vm.spec.nics.map((_, index) => `${vm.metadata.uid}.nic${index}`)).toSorted(),
  );
  for (const port of found.ports) {
    const place = places.get(port.portKey.split(".")[0]);
    expect({ host: port.host, generation: port.generation }).toEqual({
      host: place?.host,
      generation: place?.generation,
    });
  }
  const exports = found.vms.flatMap(({ spec }) =>
    spec.disks.map(({ transport }) => ("exportName" in transport ? transport.exportName : transport.kind)),
  );
  expect(repeated(exports)).toEqual([]);
  expect(repeated(found.vms.flatMap(({ spec }) => spec.nics.map(({ mac }) => mac)))).toEqual([]);
  for (const { metadata, status } of await dc.hosts.list()) {
    const promised = found.vms.filter(({ host }) => host === metadata.name).length * vmMemoryBytes;
    expect(promised).toBeLessThanOrEqual(status.memoryBytes ?? 0);
  }
  return found;
}
