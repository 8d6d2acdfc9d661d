import { isVdcError } from "@vdc-os/core";
import type { CloneEngine } from "./clone-engine.ts";
import { deleteRecord } from "./record-store.ts";

/** How long a volume that is busy waits for the next try, in milliseconds. */
const retryMs = 1000;
const mostTries = 60;

/**
 * Flattens clones that are deeper than a limit, one at a time, in the background. What is to be flattened is recorded with the clone, so that a kill
 * loses none of it.
 */
export class DepthPolicy {
  readonly #engine: CloneEngine;
  readonly #flattenAtDepth: number | undefined;
  readonly #waiting = new Set<string>();
  #working: Promise<void> | undefined;

  constructor(engine: CloneEngine, flattenAtDepth: number | undefined) {
    this.#engine = engine;
    this.#flattenAtDepth = flattenAtDepth;
  }

  /** Whether a volume of a depth is to be flattened. */
  isTooDeep(depth: number): boolean {
    return this.#flattenAtDepth !== undefined && depth > this.#flattenAtDepth;
  }

  /** Goes on with what a stop left. */
  async resume(): Promise<void> {
    if (this.#flattenAtDepth === undefined) return;
    const { catalog, operation } = this.#engine.services;
    for (const volumeId of await catalog.deep(operation())) this.flattenSoon(volumeId);
  }

  flattenSoon(volumeId: string): void {
    this.#waiting.add(volumeId);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when nothing is left to be flattened, or the provider is closed. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  async #work(): Promise<void> {
    const { logger, clock } = this.#engine.services;
    const { closing } = this.#engine;
    let tries = 0;
    for (const volumeId of this.#waiting) {
      if (closing.aborted) return;
      try {
        await this.#flatten(volumeId);
        this.#waiting.delete(volumeId);
        tries = 0;
      } catch (error) {
        if (closing.aborted) return;
        const isBusy = isVdcError(error, "ABORTED") || isVdcError(error, "UNAVAILABLE");
        this.#waiting.delete(volumeId);
        // One that has clones by now, or can't be flattened as it is attached, stays recorded for the next start.
        if (!isBusy || ++tries > mostTries) {
          logger.warn("a deep clone stays as it is for now", { volumeId, error: String(error) });
          continue;
        }
        this.#waiting.add(volumeId);
        await clock.sleep(retryMs, { signal: closing }).catch(() => {});
      }
    }
  }

  async #flatten(volumeId: string): Promise<void> {
    const { catalog, records, operation } = this.#engine.services;
    const context = operation();
    const record = (await catalog.find(volumeId, context))?.value;
    if (record !== undefined && record.tombstoned !== true) await this.#engine.flatten(volumeId, context);
    if (record?.tombstoned !== true) await records.commit([], [deleteRecord(catalog.deepKey(volumeId))], context);
  }
}
