import type { MatrixConfig } from "./reachability-oracle.ts";

/** One frame of a table. `id` tells the frames of one exchange apart. */
export interface Probe {
  readonly id: number;
  readonly from: number;
  readonly to: number | "all";
  readonly tag: number | undefined;
}

/** A probe that arrived. */
export interface ProbeArrival {
  readonly id: number;
  readonly at: number;
  readonly tag: number | undefined;
}

/** A switch over several hosts, whose table is looked at. */
export interface MatrixSubject {
  /** Makes the switch what `next` says, by changing only what differs, as the control side does. */
  apply(next: MatrixConfig): Promise<void>;
  /** Sends the probes from ports whose link is up, and tells what arrived when nothing is on its way any more. */
  exchange(probes: readonly Probe[]): Promise<readonly ProbeArrival[]>;
  /** Throws unless every port's counters add up. */
  checkCounters(): Promise<void>;
}
