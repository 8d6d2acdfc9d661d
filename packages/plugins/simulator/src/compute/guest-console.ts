/** How much a console keeps, in bytes; the beginning is kept. */
const maxBytes = 4 * 1024 * 1024;

/** What a guest wrote on its serial port. */
export class GuestConsole {
  #text: Buffer = Buffer.alloc(0);
  readonly #listeners: Set<() => void> = new Set();

  get size(): number {
    return this.#text.length;
  }

  /** Adds a line. */
  line(text: string): void {
    if (this.#text.length < maxBytes) this.#text = Buffer.concat([this.#text, Buffer.from(`${text}\r\n`)]);
    this.wake();
  }

  /** The text from a byte offset on. */
  from(offset: number): string {
    return this.#text.subarray(offset).toString("utf8");
  }

  /** Wakes whoever follows. */
  wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Resolves when there may be more, or the signal aborts. */
  more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        this.#listeners.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#listeners.add(done);
      signal.addEventListener("abort", done);
    });
  }
}
