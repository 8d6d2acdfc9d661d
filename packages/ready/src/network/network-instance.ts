import type {
  DistributedSwitch,
  PortBinding,
  PortSetting,
  SwitchSpec,
  UplinkSpec,
  VlanSetting,
} from "@vdc-os/core/network/v1";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";
import type { SuiteNic } from "./suite-nic.ts";

/** What the factory gives for the network suite. */
export interface NetworkInstance extends Instance<DistributedSwitch> {
  /** Hosts that can be members, and are reachable. With one alone, what needs two is skipped. */
  readonly hosts: readonly string[];
  /** Plays the NIC of a binding. Needed for attachments other than `qemu-stream`, which the suite plays by itself. */
  openNic?(binding: PortBinding, mac: string): Promise<SuiteNic>;
  /** The far end of an uplink whose backing is a stream. Without it the suite listens on the Unix socket of the uplink's path. */
  openUplink?(host: string, uplink: UplinkSpec): Promise<SuiteNic>;
  /** Ends the implementation as `kill -9` would, or as near to that as can be, and opens what it left. Without it durability is not tried. */
  restart?(): Promise<DistributedSwitch>;
}

/** A requirement of the network suite. */
export type NetworkRequirement = Requirement<DistributedSwitch, NetworkInstance>;

/** What a network requirement works with. */
export type NetworkTest = SuiteTest<DistributedSwitch, NetworkInstance>;

/** What holds where a requirement says nothing. */
export const openSetting: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

/** A setting with a VLAN. */
export function inVlan(vlan: VlanSetting): PortSetting {
  return { ...openSetting, vlan };
}

/** The VLANs of the port groups of {@link specOf}. */
export const defaultGroups: Readonly<Record<string, PortSetting>> = {
  flat: openSetting,
  red: inVlan({ kind: "access", id: 10 }),
  blue: inVlan({ kind: "access", id: 20 }),
};

/** A spec with these port groups, on all of the instance's hosts. */
export function specOf(
  test: NetworkTest,
  groups: Readonly<Record<string, PortSetting>> = defaultGroups,
  switchId = "certified",
): SwitchSpec {
  return {
    switchId,
    name: switchId,
    mtu: 1400,
    transport: "overlay",
    members: test.instance.hosts.map((host) => ({ host, uplinks: [] })),
    portGroups: Object.entries(groups).map(([key, setting]) => ({ key, name: key, binding: "ephemeral", setting })),
  };
}

/** The host of that number, or the requirement is skipped. */
export function hostOf(test: NetworkTest, index: number): string {
  return test.instance.hosts[index] ?? test.skip(`the factory gives ${test.instance.hosts.length} hosts`);
}
