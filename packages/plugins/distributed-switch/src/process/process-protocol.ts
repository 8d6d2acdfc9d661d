import type { PortStatistics } from "@vdc-os/core/network/v1";
import type { Explanation } from "../dataplane/explanation.ts";
import type { Gate } from "../dataplane/switch-port.ts";
import type { UdpAddress } from "../dataplane/vxlan-endpoint.ts";

/** What a switch process is started with. The same for as long as the process should live. */
export interface SwitchProcessConfig {
  /** A folder of the process's own: its last configuration and its counters, so that it serves again without the manager. */
  readonly directory: string;
}

/** A port's part of a {@link ProcessStatus}. */
export interface ProcessPortStatus {
  readonly id: string;
  readonly attachment: number;
  readonly generation: number;
  readonly link: "up" | "down";
  readonly reason?: string;
  readonly gate: Gate;
  readonly held: number;
  /** Its VM makes a loop. */
  readonly looped?: boolean;
  /** Stations behind the VM, the first 64 of them. */
  readonly learned?: readonly string[];
}

/** A switch process as it is now. */
export interface ProcessStatus {
  /** New at each start of the process. */
  readonly instance: string;
  /** Grows whenever something in the status changes, within an instance. */
  readonly version: number;
  /** Of the configuration in force; 0 for none. */
  readonly generation: number;
  readonly vtep?: UdpAddress;
  readonly switches: readonly {
    readonly key: string;
    readonly specGeneration: number;
    readonly uplinks: readonly { readonly uplink: string; readonly link: "up" | "down"; readonly reason?: string }[];
    /** What is asked for and this host can't do, or not now; the rest is in force. One sentence each. */
    readonly findings?: readonly string[];
  }[];
  readonly ports: readonly ProcessPortStatus[];
}

/** What a frame's way on a host is; the frame as other hosts get it is base64. */
export interface ProcessExplanation extends Omit<Explanation, "onward"> {
  readonly onward?: string;
}

/** An explanation as the process tells it. */
export function toldExplanation({ onward, ...rest }: Explanation): ProcessExplanation {
  return onward === undefined ? rest : { ...rest, onward: onward.toString("base64") };
}

/** Counters of one attachment, as the contract has them. */
export type PortCounters = Omit<PortStatistics, "portKey">;

/** Counters of one attachment, also of one that is gone and was not forgotten. */
export interface AttachmentCounters {
  readonly id: string;
  readonly attachment: number;
  readonly counters: PortCounters;
}
