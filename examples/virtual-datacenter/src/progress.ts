/** Shows what is being done: on a terminal a live line, and everywhere a line for each step that is done. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #active = new Map<string, number>();
  readonly #began = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Prints a line. */
  say(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  /** Runs a step, and says how long it took. `detail` says more about its result. */
  async step<T>(name: string, run: () => Promise<T>, detail: (result: T) => string = () => ""): Promise<T> {
    const began = performance.now();
    this.#active.set(name, began);
    this.#tick();
    try {
      const result = await run();
      this.#active.delete(name);
      const more = detail(result);
      this.say(`  ✓ ${name}${more === "" ? "" : `: ${more}`}  (${seconds(performance.now() - began)})`);
      return result;
    } catch (error) {
      this.#active.delete(name);
      this.say(`  ✗ ${name}  (${seconds(performance.now() - began)})`);
      throw error;
    } finally {
      this.#tick();
    }
  }

  /** Ends the live line. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  #tick(): void {
    if (!this.#out.isTTY) return;
    if (this.#active.size === 0) {
      this.end();
      return;
    }
    this.#timer ??= setInterval(() => {
      this.#frame++;
      this.#clear();
      this.#draw();
    }, 100).unref();
    this.#draw();
  }

  #draw(): void {
    if (!this.#out.isTTY || this.#active.size === 0) return;
    const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[this.#frame % 10];
    const names = [...this.#active.keys()].join(" · ");
    const line = `  ${spinner} ${names}  (${seconds(performance.now() - this.#began)})`;
    this.#out.write(line.slice(0, Math.max(20, this.#out.columns - 1)));
  }

  #clear(): void {
    if (this.#out.isTTY) this.#out.write("\r\u001b[2K");
  }
}

/** A duration for people: `0.42 s`. */
export function seconds(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
