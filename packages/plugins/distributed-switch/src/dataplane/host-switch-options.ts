import type { DataPlaneSwitchConfig } from "./data-plane-config.ts";
import type { DataPlanePortStatistics, DataPlanePortStatus, UplinkStatus } from "./data-plane-status.ts";
import type { FlowRecord } from "./flow-table.ts";
import type { InterfaceLinks } from "./frame-link.ts";
import type { MirrorSink } from "./mirror-session.ts";
import type { ControlFrames } from "./peer-ingress.ts";
import type { QueueMemory } from "./queue-memory.ts";
import type { VxlanEndpoint } from "./vxlan-endpoint.ts";

/** What a host's part of a switch is made with. */
export interface HostSwitchOptions {
  readonly config: DataPlaneSwitchConfig;
  readonly now: () => number;
  readonly endpoint: () => VxlanEndpoint | undefined;
  readonly onLink: (status: DataPlanePortStatus) => void;
  /** Gets what a port has counted that is gone. */
  readonly onRemoved?: (statistics: DataPlanePortStatistics) => void;
  /** Takes the switch's own frames, which no VM sent: probes and link layer discovery. */
  readonly control?: ControlFrames;
  /** Takes copies of mirror sessions with a destination outside the switch; without one they are dropped. */
  readonly mirrorSink?: MirrorSink;
  /** Takes flows that ended or are due. */
  readonly onFlows?: (switchKey: string, records: readonly FlowRecord[]) => void;
  /** What `now` says, when it is 0, in milliseconds since 1970; for the times of flows. */
  readonly epochMs?: number;
  /** Called when an uplink's link comes up or goes down. */
  readonly onUplink?: (status: UplinkStatus) => void;
  /** Makes the links to interfaces of the host, such as `hostInterfaceLinks`; without it such ports and uplinks are down. */
  readonly interfaces?: InterfaceLinks;
  /** Where frames wait for NICs that read too slowly. */
  readonly memory: QueueMemory;
  /** The wait before a NIC's socket is dialled again; see `StreamPort`. */
  readonly redialMs?: number;
  readonly redialLargestMs?: number;
}
