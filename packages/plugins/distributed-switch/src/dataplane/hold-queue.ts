/** A frame kept back: a copy of its own, so that a long hold pins no shared receive buffer. */
export interface HeldFrame {
  /** Length prefix and frame. */
  readonly record: Buffer;
  readonly vlan: number;
  readonly tagged: boolean;
  /** Priority and drop eligibility of the tag that it has or gets. */
  readonly tagFlags: number;
}

export interface HoldQueueOptions {
  /** Defaults to `4096`. */
  readonly limitFrames?: number;
  /** Defaults to 4 MiB. */
  readonly limitBytes?: number;
}

/** The frames that a port in gate `hold` has taken from its VM and not let out yet: first in, first out, bounded both ways. */
export class HoldQueue {
  readonly #frames: HeldFrame[] = [];
  readonly #limitFrames: number;
  readonly #limitBytes: number;
  #bytes = 0;

  constructor(options: HoldQueueOptions = {}) {
    this.#limitFrames = options.limitFrames ?? 4096;
    this.#limitBytes = options.limitBytes ?? 4 * 1024 * 1024;
  }

  get size(): number {
    return this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False when the frame doesn't fit; it is then not kept. */
  push(frame: HeldFrame): boolean {
    if (this.#frames.length >= this.#limitFrames || this.#bytes + frame.record.length > this.#limitBytes) return false;
    this.#frames.push(frame);
    this.#bytes += frame.record.length;
    return true;
  }

  /** Takes out the oldest `count` frames, or all that there are. */
  take(count: number = this.#frames.length): HeldFrame[] {
    const taken = this.#frames.splice(0, count);
    for (const frame of taken) this.#bytes -= frame.record.length;
    return taken;
  }
}
