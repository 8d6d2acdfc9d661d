/** The unit of the model in bytes. Smaller than a cluster, so that parts of clusters are written. */
export const unitBytes = 16_384;

/**
 * What a disk may hold, unit by unit. After a kill a unit holds any value that it was given since the last flush, or the one it had at that.
 */
export class ModelDisk {
  #units: Set<number>[];

  constructor(units: number) {
    this.#units = Array.from({ length: units }, () => new Set([0]));
  }

  get units(): number {
    return this.#units.length;
  }

  copy(): ModelDisk {
    const other = new ModelDisk(0);
    other.#units = this.#units.map((values) => new Set(values));
    return other;
  }

  /** A write that was acknowledged, and is the present value. */
  write(at: number, value: number): void {
    const values = this.#units[at] as Set<number>;
    values.delete(value);
    values.add(value);
  }

  /** What was written last is what it holds: nothing was lost. */
  flush(): void {
    this.#units = this.#units.map((values) => new Set([[...values].at(-1) as number]));
  }

  grow(units: number): void {
    while (this.#units.length < units) this.#units.push(new Set([0]));
  }

  /** The present value of a unit, if nothing was lost. */
  present(at: number): number {
    return [...(this.#units[at] as Set<number>)].at(-1) as number;
  }

  /** Whether a unit may hold a value after a kill. */
  mayHold(at: number, value: number): boolean {
    return (this.#units[at] as Set<number>).has(value);
  }

  /** Holds a reading against what is possible; after a kill, it is what the disk holds from now on. Returns what is wrong. */
  observe(data: Buffer, { afterKill = false }: { readonly afterKill?: boolean } = {}): string | undefined {
    for (const [at, values] of this.#units.entries()) {
      const part = data.subarray(at * unitBytes, (at + 1) * unitBytes);
      const value = part[0] as number;
      if (!part.every((byte) => byte === value)) return `unit ${at} is torn`;
      const may = afterKill ? [...values] : [this.present(at)];
      if (!may.includes(value)) return `unit ${at} holds ${value}, and may hold ${may.join(", ")}`;
      if (afterKill) this.#units[at] = new Set([value]);
    }
    return undefined;
  }
}
