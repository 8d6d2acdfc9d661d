import type { Random } from "@vdc-os/core";
import type { CallSite } from "./call-log.ts";

/** How long calls take, in milliseconds: one number for all, or by operation, where `*` is for those that are not named. */
export type Latency = number | Readonly<Record<string, number>>;

/** How long each call takes. */
export class LatencyModel {
  /** Keys are `vdc.storage.createVolume`, `vdc.storage` or `*`; the first of these that is there holds. */
  latency: Latency;
  /** Each call takes up to this fraction more, by the world's seed. */
  jitter: number;
  readonly #random: Random;

  constructor(latency: Latency, jitter: number, random: Random) {
    this.latency = latency;
    this.jitter = jitter;
    this.#random = random;
  }

  /** How long a call is to take. */
  of(site: CallSite): number {
    const { latency } = this;
    const base =
      typeof latency === "number"
        ? latency
        : (latency[`${site.point}.${site.operation}`] ?? latency[site.point] ?? latency["*"] ?? 0);
    return base === 0 || this.jitter === 0 ? base : base * (1 + this.jitter * this.#random.next());
  }
}
