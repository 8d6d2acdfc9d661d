import type { Gate, SwitchPortStatistics } from "./switch-port.ts";
import type { TrafficStatistics, InDropReason, OutDropReason } from "./traffic-counters.ts";
import type { TunnelPeerStatistics } from "./switch-tunnel.ts";
import type { UdpAddress, VxlanEndpointStatistics } from "./vxlan-endpoint.ts";

/** One port as it is now. */
export interface DataPlanePortStatus {
  readonly key: string;
  readonly switch: string;
  readonly link: "up" | "down";
  /** Why the link is down. */
  readonly reason?: string | undefined;
  readonly gate: Gate;
  /** Frames that the gate keeps back. */
  readonly held: number;
  /** Its VM makes a loop: for a while it gets no floods. */
  readonly looped?: boolean | undefined;
  /** How often the NIC's socket was dialled. */
  readonly dials: number;
}

/** An uplink as it is now. */
export interface UplinkStatus {
  readonly uplink: string;
  readonly switch: string;
  readonly link: "up" | "down";
  /** Why the link is down. */
  readonly reason?: string | undefined;
}

/** An uplink's counters: `in` is what came from the physical network, and `in.frames = forwarded + in.dropped`. */
export interface UplinkStatistics {
  readonly uplink: string;
  readonly in: TrafficStatistics<InDropReason>;
  readonly out: TrafficStatistics<OutDropReason>;
  readonly forwarded: number;
}

/** One switch as it is now. */
export interface DataPlaneSwitchStatus {
  readonly key: string;
  readonly learnedAddresses: number;
  readonly peers: readonly TunnelPeerStatistics[];
  readonly uplinks: readonly (UplinkStatus & UplinkStatistics)[];
}

/** The data plane as it is now. Plain data. */
export interface DataPlaneStatus {
  /** The generation realised; 0 before the first. */
  readonly generation: number;
  readonly vtep?: (VxlanEndpointStatistics & { readonly listen: UdpAddress }) | undefined;
  readonly switches: readonly DataPlaneSwitchStatus[];
  readonly ports: readonly DataPlanePortStatus[];
}

/** One port's counters. They only grow while the port exists, through reconnections and changes of its settings. */
export interface DataPlanePortStatistics extends SwitchPortStatistics {
  readonly key: string;
}
