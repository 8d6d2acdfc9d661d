import type { Description, FacetAvailability } from "@vdc-os/core";
import type { OvnConfig } from "../ovn-config.ts";
import { tunnelOverheadBytes } from "./validate-switch.ts";

const available: FacetAvailability = { status: "available", limits: {}, evidence: "OVN 22.06 or later" };

function unavailable(reason: string): FacetAvailability {
  return { status: "unavailable", reason };
}

/** What OVN can do, for every host alike. */
export function describeOvn({ underlayMtu = 1500 }: OvnConfig): Description {
  return {
    implementation: { name: "@vdc-os/plugin-ovn", version: "0.1.0", simulated: false },
    facets: {
      securityPolicy: available,
      accessControl: available,
      shaping: available,
      multicastSnooping: available,
      dhcp: available,
      loadBalancing: available,
      migration: available,
      configArchive: available,
      gate: unavailable("OVN can close a port, and can't hold its frames back"),
      teaming: unavailable("members are joined by tunnels: there are no uplinks to team"),
      pvlan: unavailable("OVN has no private VLANs (ovn-org/ovn#81)"),
      macLearning: unavailable("OVN learns behind a port without a limit; it is part of 'forgedTransmits' here"),
      mirroring: unavailable("mirrors to ports came with OVN 23.06 and 25.09, and are not made by this plugin"),
      flowExport: unavailable("flows are exported by each host's Open vSwitch, which is not this plugin's"),
      discovery: unavailable("there are no uplinks to discover neighbours on"),
      healthCheck: unavailable("tunnels are watched by each host's BFD, which is not this plugin's"),
      capture: unavailable("frames pass Open vSwitch, whose mirrors are not this plugin's"),
      explain: unavailable("ovn-trace is a program on OVN's central host; this plugin speaks to its databases alone"),
    },
    attributes: {
      fencing: "enforced",
      overheadBytes: tunnelOverheadBytes,
      attachments: ["ovs"],
      transports: ["overlay"],
      statefulFilters: true,
      filterActions: ["accept", "drop"],
      countsDrops: false,
      underlayMtu,
    },
  };
}
