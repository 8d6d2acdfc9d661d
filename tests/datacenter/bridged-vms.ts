import { existsSync } from "node:fs";
import type { Datacenter, PortPolicy } from "@vdc-os/sdk";
import { addGuestImage } from "./guest.ts";
import { type BridgedHost, tapsOf } from "./open-bridged-datacenter.ts";
import { findProcesses } from "./owned-processes.ts";

/** Options of {@link startBridgedVms}. */
export interface StartBridgedVmsOptions {
  readonly hosts: readonly BridgedHost[];
  /** Of their port group, beside its VLAN. */
  readonly policy?: PortPolicy;
  /** What gives the guest of the VM on the host of an index its address: its kernel's command line, or the network. */
  readonly addressing: (index: number) => { readonly commandLine?: string; readonly addresses?: readonly string[] };
}

/** Makes 'vm-1', 'vm-2' and so on, one on each host, on the port group 'web' of the switch 'lan', whose MTU is 1400. Returns when their guests have started. */
export async function startBridgedVms(dc: Datacenter, options: StartBridgedVmsOptions): Promise<void> {
  const { hosts, policy, addressing } = options;
  await addGuestImage(dc);
  const portGroups = [{ name: "web", policy: { vlan: { kind: "access", id: 10 } as const, ...policy } }];
  await dc.switches.createAndWait({
    name: "lan",
    spec: { network: "network", mtu: 1_400, hosts: hosts.map(({ name }) => name), portGroups },
  });
  for (const [index, { name: host }] of hosts.entries()) {
    const { commandLine = "", ...ofNic } = addressing(index);
    const nics = [{ switch: "lan", portGroup: "web", ...ofNic }];
    const spec = { image: "guest", cpus: 1, memoryBytes: 128 << 20, host, commandLine, nics };
    await dc.vms.createAndWait({ name: `vm-${index + 1}`, spec });
  }
  for (const index of hosts.keys()) await dc.vms.waitForConsole(`vm-${index + 1}`, /VDC-READY/);
}

/** Destroys a datacenter of bridged hosts, if it was opened; their Open vSwitch runs on. Returns what it left: processes, ports of bridges, and interfaces. */
export async function destroyBridgedDatacenter(
  dc: Datacenter | undefined,
  hosts: readonly BridgedHost[],
): Promise<readonly string[]> {
  if (dc === undefined) return [];
  const ports = async (): Promise<readonly string[]> => (await Promise.all(hosts.map(tapsOf))).flat();
  const taps = await ports();
  await dc.destroy();
  const processes = (await findProcesses(dc.directory)).map(({ pid, command }) => `process ${pid}: ${command}`);
  const interfaces = taps.filter((name) => existsSync(`/sys/class/net/${name}`));
  return [
    ...processes,
    ...(await ports()).map((name) => `port ${name}`),
    ...interfaces.map((name) => `interface ${name}`),
  ];
}
