import type { ProcessStatus } from "@vdc-os/core/host/v1";
import type { MemoryProcess } from "./memory-process.ts";

/** A change of a process of a {@link MemoryHost}. */
export interface MemoryChange {
  readonly type: "added" | "modified" | "deleted";
  readonly object: ProcessStatus;
}

/** What a host has, beside its runtime: it goes on when that ends. */
export class MemoryHost {
  readonly hostId: string = "memory";
  readonly bootId: string = crypto.randomUUID();
  readonly directory: string = "/memory";
  /** By their ids. */
  readonly processes: Map<string, MemoryProcess> = new Map();
  /** Of everything that runs. */
  readonly pids: Set<number> = new Set();
  readonly #listeners: Set<(change: MemoryChange) => void> = new Set();
  #lastPid = 1_000;

  newPid(): number {
    this.#lastPid += 1;
    this.pids.add(this.#lastPid);
    return this.#lastPid;
  }

  tell(type: MemoryChange["type"], object: ProcessStatus): void {
    for (const listener of this.#listeners) listener({ type, object });
  }

  /** Hears of each change, until the returned function is called. */
  listen(listener: (change: MemoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends everything that runs. */
  powerOff(): void {
    for (const process of [...this.processes.values()]) process.forget();
  }
}
