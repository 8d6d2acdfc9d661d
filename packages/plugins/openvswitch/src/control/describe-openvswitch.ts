import type { Description, FacetAvailability } from "@vdc-os/core";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";
import { tunnelOverheadBytes } from "./validate-switch.ts";

function available(evidence: string): FacetAvailability {
  return { status: "available", limits: {}, evidence };
}

function unavailable(reason: string): FacetAvailability {
  return { status: "unavailable", reason };
}

/** What Open vSwitch can do, for every host alike. */
export function describeOpenVswitch({ underlayMtu = 1500 }: OpenVswitchConfig): Description {
  const byFlows = available("OpenFlow 1.3 with Open vSwitch's registers (2.8 or later)");
  return {
    implementation: { name: "@vdc-os/plugin-openvswitch", version: "0.1.0", simulated: false },
    facets: {
      securityPolicy: byFlows,
      accessControl: byFlows,
      pvlan: byFlows,
      mirroring: byFlows,
      migration: byFlows,
      shaping: available("OpenFlow's meters: on the userspace datapath, and on Linux 4.15 or later"),
      flowExport: available("Open vSwitch's own IPFIX, of each bridge"),
      configArchive: available("kept with the switch"),
      capture: available("flows show the port's frames to the manager, over OpenFlow"),
      healthCheck: available("frames go into tunnels, and are taken out of them, over OpenFlow"),
      explain: available("from the flows that the bridges hold"),
      gate: unavailable("Open vSwitch can close a port, and can't hold its frames back"),
      teaming: unavailable("members are joined by tunnels: there are no uplinks to team"),
      macLearning: unavailable("addresses are known by the ports that have them, and none are learned"),
      multicastSnooping: unavailable("Open vSwitch snoops where it learns addresses by itself, which it does not here"),
      dhcp: unavailable("Open vSwitch answers no DHCP"),
      loadBalancing: unavailable("balancing needs connections to be tracked, and these flows are stateless"),
      discovery: unavailable("there are no uplinks to discover neighbours on"),
    },
    attributes: {
      fencing: "enforced",
      overheadBytes: tunnelOverheadBytes,
      attachments: ["ovs"],
      transports: ["overlay"],
      statefulFilters: false,
      filterActions: ["accept", "drop"],
      countsDrops: true,
      underlayMtu,
    },
  };
}
