import type { HoldQueueOptions } from "./hold-queue.ts";
import type { MirrorSink } from "./mirror-session.ts";
import type { TunnelSink } from "./tunnel-sink.ts";

/** What an engine is made with. */
export interface SwitchEngineOptions {
  /** A monotonic clock in milliseconds. It is read once between two calls of `flush`. */
  readonly now: () => number;
  /** The largest payload in octets. Defaults to `1500`. */
  readonly maxMtu?: number;
  /** How long a learned address is remembered. Defaults to `300_000`. */
  readonly macAgeingMs?: number;
  /** How many addresses are learned in all. Defaults to `65_536`. */
  readonly macLimit?: number;
  /** How many frames a second a port may send whose sender is known elsewhere; beyond it is taken for a loop. Defaults to `256`. */
  readonly loopLimit?: number;
  readonly tunnel?: TunnelSink;
  readonly hold?: HoldQueueOptions;
  /** Takes the copies of mirror sessions with a remote destination; without one they are dropped. */
  readonly mirrorSink?: MirrorSink;
}

/** Bounds of an engine. */
export interface EngineLimits {
  /** How many addresses are learned in all. */
  readonly learnedAddresses: number;
  /** How many frames a second a port may send whose sender is known elsewhere; a port that sends more is taken for a loop. */
  readonly strangersPerSecond: number;
  /** What a port's gate keeps. */
  readonly hold: HoldQueueOptions;
}
