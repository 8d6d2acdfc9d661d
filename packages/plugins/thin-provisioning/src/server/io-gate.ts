/** What a claim on the gate keeps waiting. */
export type GateLevel = "writes" | "all";

/**
 * Keeps requests waiting while a volume's image is being changed under them. Whoever needs that claims the gate; it is open again when the last claim is gone.
 */
export class IoGate {
  readonly #claims = new Map<string, GateLevel>();
  #waiting: (() => void)[] = [];
  #stopsReads = false;
  #stopsWrites = false;

  get stopsReads(): boolean {
    return this.#stopsReads;
  }

  get stopsWrites(): boolean {
    return this.#stopsWrites;
  }

  /** Makes a claim, or changes one. */
  claim(name: string, level: GateLevel): void {
    this.#claims.set(name, level);
    this.#changed();
  }

  has(name: string): boolean {
    return this.#claims.has(name);
  }

  release(name: string): void {
    if (this.#claims.delete(name)) this.#changed();
  }

  /** Resolves when the gate may have opened: look again. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    this.#stopsWrites = this.#claims.size > 0;
    this.#stopsReads = [...this.#claims.values()].includes("all");
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
