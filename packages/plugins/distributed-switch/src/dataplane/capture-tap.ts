/** A frame as it passed a port. */
export interface CapturedFrame {
  /** Grows by one with each frame; a gap is what was lost. */
  readonly sequence: number;
  /** On the data plane's clock. */
  readonly atMs: number;
  /** `in` is what the VM sent. */
  readonly direction: "in" | "out";
  /** Why the switch dropped it there; undefined when it didn't. */
  readonly drop?: string | undefined;
  /** Octets of the whole frame. */
  readonly length: number;
  /** Its first octets, `snapLength` at most. */
  readonly bytes: Uint8Array;
}

/** What a tap takes. */
export interface CaptureOptions {
  /** Defaults to `both`. */
  readonly direction?: "in" | "out" | "both" | undefined;
  /** How many octets of each frame are kept. Defaults to `262_144`, which is all. */
  readonly snapLength?: number | undefined;
  /** Whether frames that the switch drops at this port are taken too. Defaults to `true`. */
  readonly dropped?: boolean | undefined;
  /** How many frames may wait to be read. Defaults to `4096`. */
  readonly limitFrames?: number | undefined;
  /** How many octets may wait to be read. Defaults to 4 MiB. */
  readonly limitBytes?: number | undefined;
}

/**
 * Copies what passes one port, for whoever looks at it. Bounded: what comes while nobody reads is lost, and counted; the frames themselves
 * pass all the same.
 */
export class CaptureTap {
  readonly #options: CaptureOptions;
  readonly #now: () => number;
  #frames: CapturedFrame[] = [];
  #bytes = 0;
  #sequence = 0;
  #lost = 0;

  constructor(options: CaptureOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  /** Frames that were not kept because too many waited. */
  get lost(): number {
    return this.#lost;
  }

  record(direction: "in" | "out", buffer: Buffer, start: number, end: number, drop: string | undefined): void {
    const { direction: wanted = "both", snapLength = 262_144, dropped = true } = this.#options;
    if ((wanted !== "both" && wanted !== direction) || (!dropped && drop !== undefined)) return;
    this.#sequence += 1;
    const length = end - start;
    const kept = Math.min(length, snapLength);
    const { limitFrames = 4096, limitBytes = 4 * 1024 * 1024 } = this.#options;
    if (this.#frames.length >= limitFrames || this.#bytes + kept > limitBytes) {
      this.#lost += 1;
      return;
    }
    this.#bytes += kept;
    this.#frames.push({
      sequence: this.#sequence,
      atMs: this.#now(),
      direction,
      ...(drop === undefined ? {} : { drop }),
      length,
      bytes: Uint8Array.from(buffer.subarray(start, start + kept)),
    });
  }

  /** Takes the frames that wait, oldest first, `count` at most. */
  take(count: number = Number.POSITIVE_INFINITY): CapturedFrame[] {
    if (count >= this.#frames.length) {
      const all = this.#frames;
      this.#frames = [];
      this.#bytes = 0;
      return all;
    }
    const taken = this.#frames.splice(0, count);
    for (const { bytes } of taken) this.#bytes -= bytes.length;
    return taken;
  }
}
