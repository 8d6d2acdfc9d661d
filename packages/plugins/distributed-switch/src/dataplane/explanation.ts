import type { InDropReason, OutDropReason } from "./traffic-counters.ts";

/** The stage of the switch that a step of an explanation is about. */
export type ExplainStage = "admission" | "policy" | "learning" | "gate" | "forwarding" | "egress";

/** One step of a frame's way. */
export interface ExplainStep {
  readonly stage: ExplainStage;
  /** What was seen or decided, in words. */
  readonly text: string;
  /** The port that `text` names. */
  readonly port?: string | undefined;
  /** The reason under which the frame is dropped here, as in the counters. */
  readonly drop?: string | undefined;
}

/** What would happen to a frame on this host. Plain data. */
export interface Explanation {
  /**
   * - `forward`: to the places that the address is known at.
   * - `flood`: to everybody, since it is for a group or for nobody known.
   * - `hold`: kept back by the port's gate.
   * - `drop`: nowhere, for `reason`.
   */
  readonly verdict: "forward" | "flood" | "hold" | "drop";
  /** Why it is dropped where it comes in: at a port, or from another host. */
  readonly reason?: InDropReason | "unknownPeer" | undefined;
  /** The VLAN in which it travels; absent when it has none. */
  readonly vlan?: number | undefined;
  /** The ports of this host that it is sent towards, and why those that don't get it don't. */
  readonly ports: readonly { readonly port: string; readonly drop?: OutDropReason | undefined }[];
  /** The other hosts that it is sent to. */
  readonly peers: readonly string[];
  /** The frame as other hosts get it: without a tag, and with what filters made of it. Absent where none gets it. */
  readonly onward?: Buffer | undefined;
  /** The uplink by which it leaves the host. */
  readonly uplink?: string | undefined;
  /** The way there. */
  readonly steps: readonly ExplainStep[];
}
