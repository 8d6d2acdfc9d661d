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
      teaming: available(),
      pvlan: available(),
      shaping: available(),
      accessControl: available(),
      mirroring: available(),
      flowExport: available({ flowsPerHost: 16_384 }),
      discovery: available(),
      multicastSnooping: available(),
      macLearning: available({ addresses: 65_536 }),
      dhcp: unavailable("the switch answers no DHCP"),
      loadBalancing: unavailable("there are no load balancers"),
      migration: available(),
      healthCheck: available(),
      configArchive: available(),
      capture: available({ capturesPerHost: 32 }),
      explain: available(),
    },
    attributes: {
      fencing: "enforced",
      overheadBytes: tunnelOverheadBytes,
      attachments: ["qemu-stream"],
      transports: ["overlay", "uplinks"],
      underlayMtu,
    },
  };
}
