import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { fullBytes } from "../pool-capacity.ts";

/** What a pool may take. */
export interface SpaceGuardOptions {
  /** The folder of the volumes. */
  readonly folder: string;
  /** What volumes may take in all. */
  readonly limitBytes: number;
}

/** How often a full pool is measured at most, in milliseconds: that looks at every file of it. */
const measureIntervalMs = 250;

/** How old a measure may be, in milliseconds: others take from the pool too. */
const maxAgeMs = 5000;

/**
 * Holds writes that need new space against the pool's limit. It hands itself half of what is left at a time, so that several hosts that write at
 * once come close to the limit and pass it by little: each measures again before the next half.
 */
export class SpaceGuard {
  readonly #options: SpaceGuardOptions;
  #budgetBytes = 0;
  #grantBytes = 0;
  readonly #onRoom = new Set<() => void>();
  #measuring = false;
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
  }

  /** Whether there was no room when it was last measured. */
  get isFull(): boolean {
    return this.#grantBytes === 0;
  }

  /** Takes an amount from what may be written without a further look. */
  take(bytes: number): boolean {
    const granted = this.#budgetBytes >= bytes;
    if (granted) this.#budgetBytes -= bytes;
    const isOld = performance.now() - this.#measuredAt > maxAgeMs;
    if (isOld || this.#budgetBytes <= this.#grantBytes / 4) void this.measure();
    return granted;
  }

  /** Calls back whenever there is room again. Returns what ends that. */
  onRoom(callback: () => void): () => void {
    this.#onRoom.add(callback);
    return () => this.#onRoom.delete(callback);
  }

  /** Looks how much is left. */
  async measure(): Promise<void> {
    const now = performance.now();
    if (this.#measuring || (this.#grantBytes === 0 && now - this.#measuredAt < measureIntervalMs)) return;
    this.#measuring = true;
    try {
      const usedBytes = await allocatedIn(this.#options.folder);
      const { bsize, bavail } = await statfs(this.#options.folder);
      const left = Math.max(0, Math.min(this.#options.limitBytes - usedBytes, bsize * bavail));
      this.#grantBytes = left < fullBytes ? 0 : Math.floor(left / 2);
      this.#budgetBytes = this.#grantBytes;
      if (this.#grantBytes > 0) for (const callback of this.#onRoom) callback();
    } catch {
      // Without a measure nothing new is granted; the next write asks again.
    } finally {
      this.#measuring = false;
      this.#measuredAt = performance.now();
    }
  }
}

/** What the files of all volumes take on their file system. */
async function allocatedIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const volume of await readdir(folder)) {
    const files = await readdir(join(folder, volume)).catch(() => []);
    for (const file of files) {
      const status = await stat(join(folder, volume, file)).catch(() => undefined);
      bytes += (status?.blocks ?? 0) * 512;
    }
  }
  return bytes;
}
