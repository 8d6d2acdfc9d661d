import type fc from "fast-check";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";

/** One port of a case. */
export interface CasePort {
  readonly vlan: VlanSetting;
  readonly blocked: boolean;
}

/** A mirror session between ports, by their numbers. */
export interface CaseMirror {
  readonly sources: readonly number[];
  readonly direction: "in" | "out" | "both";
  readonly destination: number;
  /** How many octets of each frame are copied; undefined for all. */
  readonly snapLength: number | undefined;
}

/** A configuration in words that both switches have. */
export interface CaseConfig {
  readonly ports: readonly CasePort[];
  readonly mirror: CaseMirror | undefined;
  /** Whether group frames go to members only. */
  readonly snooping: boolean;
}

/** One frame and where it is sent. */
export interface CaseFrame {
  readonly port: number;
  readonly bytes: Buffer;
  /** How much time passes before the next frame. */
  readonly pauseMs: number;
  /** How a failing example shows it. */
  readonly [fc.toStringMethod]?: () => string;
}

/** A switch under comparison: every port's frames, in the order in which they left. */
export interface Contestant {
  readonly name: string;
  /** Takes a configuration over and forgets all it learned. */
  configure(config: CaseConfig): Promise<void>;
  /** Sends the frames, each after the one before was switched, and returns what left each port. */
  exchange(frames: readonly CaseFrame[]): Promise<readonly (readonly Buffer[])[]>;
}
