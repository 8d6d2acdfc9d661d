import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Knows whether a volume has writes that were acknowledged and not flushed. A process that is killed then may lose them, as a disk's cache at a power loss, but the
 * guest goes on and does not know: the next process finds the mark and says so, until the volume is detached.
 */
export class UnflushedMark {
  readonly #unflushed: string;
  readonly #lost: string;
  #isSet = false;
  #writes = 0;

  /** `exportName` names the owner: what an earlier one lost is no matter of this one's. */
  constructor(folder: string, exportName: string) {
    this.#unflushed = join(folder, `${exportName}.unflushed`);
    this.#lost = join(folder, `${exportName}.lost`);
    // A process that was ended in order has flushed and left no mark.
    if (existsSync(this.#unflushed)) renameSync(this.#unflushed, this.#lost);
  }

  /** Whether a process before this one may have lost writes. */
  get mayHaveLost(): boolean {
    return existsSync(this.#lost);
  }

  /** Before a write is acknowledged. */
  noteWrite(): void {
    this.#writes++;
    if (this.#isSet) return;
    writeFileSync(this.#unflushed, "");
    this.#isSet = true;
  }

  /** Before a flush begins. Returns what is to be called when it has succeeded. */
  beginFlush(): () => void {
    const writes = this.#writes;
    return () => {
      if (!this.#isSet || this.#writes !== writes) return;
      rmSync(this.#unflushed, { force: true });
      this.#isSet = false;
    };
  }

  /** Everything was flushed. */
  clear(): void {
    rmSync(this.#unflushed, { force: true });
    this.#isSet = false;
  }

  /** The owner has gone, and what it believed with it. */
  forget(): void {
    this.clear();
    rmSync(this.#lost, { force: true });
  }
}

/** Removes the marks of owners that are served no more. */
export function sweepUnflushedMarks(folder: string, exportNames: readonly string[]): void {
  for (const name of readdirSync(folder)) {
    const owner = /^(.*)\.(?:unflushed|lost)$/.exec(name)?.[1];
    if (owner !== undefined && !exportNames.includes(owner)) rmSync(join(folder, name), { force: true });
  }
}
