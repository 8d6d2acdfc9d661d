import type { Terminal } from "./terminal.ts";

/**
 * Watches for the end of the process while something is certified in it: a plugin that calls `process.exit`, an error that no call waits for, a promise that
 * nothing settles any more. Without it such an end could look like a success. The process then ends with 2, and says why.
 */
export class EarlyEnd implements Disposable {
  readonly #stderr: Terminal;
  readonly #signal: AbortSignal | undefined;
  #after: string | undefined;

  constructor(stderr: Terminal, signal: AbortSignal | undefined) {
    this.#stderr = stderr;
    this.#signal = signal;
    process.on("exit", this.#onExit);
  }

  /** Told of each requirement that is over. */
  passed(id: string): void {
    this.#after = id;
  }

  readonly #onExit = (): void => {
    if (this.#signal?.aborted === true) return;
    const when = this.#after === undefined ? "before the first requirement was over" : `after '${this.#after}'`;
    this.#stderr.write(
      `vdc-ready: the process ended ${when}, and nothing is certified. What ran in it called process.exit, threw where no call waits, or waits for what nothing settles.\n`,
    );
    process.exitCode = 2;
  };

  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
  }
}
