import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";

/** What a pool may take. */
export interface SpaceGuardOptions {
  /** The folder of the volumes. */
  readonly folder: string;
  /** What volumes may take in all. */
  readonly limitBytes: number;
}

/** How often the pool is measured at most, in milliseconds: that looks at every file of it. */
const measureIntervalMs = 250;

/**
 * Holds writes that need new space against the pool's limit. It hands itself half of what is left at a time, so that several hosts that write at
 * once come close to the limit and pass it by little: each measures again before the next half.
 */
export class SpaceGuard {
  readonly #options: SpaceGuardOptions;
  #budgetBytes = 0;
  #grantBytes = 0;
  #measuring = false;
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
  }

  /** Takes an amount from what may be written without a further look. */
  take(bytes: number): boolean {
    const granted = this.#budgetBytes >= bytes;
    if (granted) this.#budgetBytes -= bytes;
    if (this.#budgetBytes <= this.#grantBytes / 4) void this.measure();
    return granted;
  }

  /** Looks how much is left. */
  async measure(): Promise<void> {
    const now = performance.now();
    if (this.#measuring || now - this.#measuredAt < measureIntervalMs) return;
    this.#measuring = true;
    try {
      const usedBytes = await allocatedIn(this.#options.folder);
      const { bsize, bavail } = await statfs(this.#options.folder);
      const left = Math.max(0, Math.min(this.#options.limitBytes - usedBytes, bsize * bavail));
      this.#grantBytes = Math.floor(left / 2);
      this.#budgetBytes = this.#grantBytes;
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
