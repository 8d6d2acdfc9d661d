import { toVdcError } from "@vdc-os/core";
import type { ServingMark } from "./serving-marks.ts";

/** How long until one is tried again, in milliseconds: where space is missing, and otherwise. */
const [soonMs, laterMs] = [500, 10_000];

/** Something that is to be served and can't be yet, and why. */
export interface Unserved extends ServingMark {
  readonly why: string;
  readonly outOfSpace: boolean;
}

/**
 * What was served before this process was started, and could not be opened: the file system is full, say. It is tried again until it can be, or is not to be served any more, since
 * its owner waits for it.
 */
export class LeftUnserved {
  readonly #retry: (mark: ServingMark) => Promise<void>;
  readonly #left = new Map<string, Unserved>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #closed = false;

  /** `retry` throws while it can't be served. */
  constructor(retry: (mark: ServingMark) => Promise<void>) {
    this.#retry = retry;
  }

  get all(): readonly Unserved[] {
    return [...this.#left.values()];
  }

  /** Serves it now, or later. */
  async try(mark: ServingMark): Promise<void> {
    const id = mark.snapshotId ?? mark.volumeId;
    this.#forgetTimer(id);
    try {
      await this.#retry(mark);
      this.#left.delete(id);
    } catch (error) {
      const { code, message } = toVdcError(error);
      const outOfSpace = code === "RESOURCE_EXHAUSTED";
      if (this.#left.get(id)?.why !== message) {
        process.stderr.write(`volume ${mark.volumeId} cannot be served, and is tried again: ${message}\n`);
      }
      this.#left.set(id, { ...mark, why: message, outOfSpace });
      if (this.#closed) return;
      const timer = setTimeout(() => void this.try(mark), outOfSpace ? soonMs : laterMs);
      this.#timers.set(id, timer);
    }
  }

  /** It is served, or is not to be any more. */
  forget(id: string): void {
    this.#forgetTimer(id);
    this.#left.delete(id);
  }

  close(): void {
    this.#closed = true;
    for (const id of [...this.#timers.keys()]) this.#forgetTimer(id);
  }

  #forgetTimer(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }
}
