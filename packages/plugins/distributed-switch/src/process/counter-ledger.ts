import type { DataPlanePortStatistics } from "../dataplane/data-plane-status.ts";
import { addCounters, finalCounters, noCounters, portCounters } from "./port-counters.ts";
import type { AttachmentCounters, PortCounters } from "./process-protocol.ts";
import type { StateFile } from "./state-file.ts";

/** How many attachments that are gone keep their counters. */
const retiredLimit = 4096;

/**
 * What a host's attachments have counted, over all processes that served them: it is written before it is told, so that what was told never goes back.
 * Attachments are named by their keys in the data plane.
 */
export class CounterLedger {
  readonly #file: StateFile;
  /** What an earlier process counted, and what was counted until the attachment went. */
  #base = new Map<string, PortCounters>();
  /** What attachments have counted that went with the configuration that is being taken over. */
  readonly #removed = new Map<string, PortCounters>();

  constructor(file: StateFile) {
    this.#file = file;
  }

  /** Takes up what the process before wrote. */
  async load(): Promise<void> {
    const counters = await this.#file.read();
    if (typeof counters !== "object" || counters === null) return;
    this.#base = new Map(
      Object.entries(counters as Record<string, PortCounters>).map(([key, each]) => [key, finalCounters(each)]),
    );
  }

  /** Takes what an attachment has counted that is gone. */
  remove(statistics: DataPlanePortStatistics): void {
    this.#removed.set(statistics.key, this.#sumOf(statistics));
  }

  /** Keeps the counters of the attachments that are no longer there, up to their last frame. */
  retire(live: ReadonlySet<string>): void {
    for (const [key, counters] of this.#removed) this.#base.set(key, finalCounters(counters));
    this.#removed.clear();
    const gone = [...this.#base.keys()].filter((key) => !live.has(key));
    for (const key of gone.slice(0, Math.max(0, gone.length - retiredLimit))) this.#base.delete(key);
  }

  /** Writes what was counted, with what the data plane counts now, and then tells it. */
  async tell(now: readonly DataPlanePortStatistics[]): Promise<AttachmentCounters[]> {
    const all = new Map(this.#base);
    for (const statistics of now) all.set(statistics.key, this.#sumOf(statistics));
    await this.#file.write(Object.fromEntries(all));
    return [...all].map(([key, counters]) => {
      const dot = key.lastIndexOf(".");
      return { id: key.slice(0, dot), attachment: Number(key.slice(dot + 1)), counters };
    });
  }

  #sumOf(statistics: DataPlanePortStatistics): PortCounters {
    return addCounters(this.#base.get(statistics.key) ?? noCounters, portCounters(statistics));
  }
}
