import type { Json } from "@vdc-os/core";

const longestWaitMs = 30_000;

/** Counts the changes of a process's status, and lets callers wait for the next one. */
export class StatusSignal {
  /** New at each start of the process. */
  readonly instance: string = crypto.randomUUID();
  readonly #waiting = new Set<() => void>();
  #version = 1;

  /** Grows with every change. */
  get version(): number {
    return this.#version;
  }

  changed(): void {
    this.#version += 1;
    for (const done of [...this.#waiting]) done();
  }

  /** Resolves at once unless the caller has seen this very status; then when it changes, or after `waitMs`. */
  async wait(params: Json, signal: AbortSignal): Promise<void> {
    const { instance, since, waitMs } = (params ?? {}) as { instance?: string; since?: number; waitMs?: number };
    if (instance !== this.instance || since !== this.#version || waitMs === undefined) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(waitMs, longestWaitMs));
      signal.addEventListener("abort", done);
      this.#waiting.add(done);
    });
  }
}
