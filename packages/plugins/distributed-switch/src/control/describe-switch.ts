import type { Description, FacetAvailability } from "@vdc-os/core";
import { tunnelOverheadBytes } from "./validate-switch.ts";

const evidence = "built in: the data plane is this package's own";

function available(limits: { readonly [name: string]: number } = {}): FacetAvailability {
  return { status: "available", limits, evidence };
}

function unavailable(reason: string): FacetAvailability {
  return { status: "unavailable", reason };
}

/** What this switch says of itself: the same for every host, since the data plane is the same everywhere. */
export function describeSwitch({ underlayMtu }: { readonly underlayMtu: number }): Description {
  return {
    implementation: { name: "@vdc-os/plugin-distributed-switch", version: "0.1.0", simulated: false },
    facets: {
      gate: available({ heldFrames: 4096, heldBytes: 4 * 1024 * 1024 }),
      securityPolicy: available(),
      teaming: unavailable("hosts are joined by tunnels: there are no uplinks to team"),
      pvlan: available(),
      shaping: available(),
      accessControl: available(),
      mirroring: unavailable("ports can't be mirrored"),
      flowExport: unavailable("flows are not exported"),
      discovery: unavailable("there are no uplinks to discover neighbours on"),
      multicastSnooping: unavailable("multicast goes to every port of its VLAN"),
      macLearning: available({ addresses: 65_536 }),
      dhcp: unavailable("the switch answers no DHCP"),
      loadBalancing: unavailable("there are no load balancers"),
      migration: available(),
      healthCheck: unavailable("no probe frames are sent between hosts"),
      configArchive: available(),
      capture: unavailable("frames can't be captured"),
      explain: unavailable("decisions on frames can't be asked for"),
    },
    attributes: {
      fencing: "enforced",
      overheadBytes: tunnelOverheadBytes,
      attachments: ["qemu-stream"],
      transports: ["overlay"],
      underlayMtu,
    },
  };
}
