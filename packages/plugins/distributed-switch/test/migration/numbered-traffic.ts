import { type FakeNic, readTestFrame } from "../fake-nic.ts";

/** What became of a stream of numbered frames. */
export interface StreamTally {
  readonly stream: string;
  readonly sent: number;
  /** Numbers that came to nobody. */
  readonly lost: readonly number[];
  /** Numbers that came more than once, by as often as they came too often. */
  readonly duplicated: readonly number[];
  /** Frames that came behind one with a higher number, at the same NIC. */
  readonly outOfOrder: number;
}

interface NumberedStream {
  readonly name: string;
  readonly to: { readonly mac: string } | "all";
  /** The NIC that sends now; none while its VM is on its way. */
  source: FakeNic | undefined;
  sent: number;
}

/** Streams of numbered frames, one frame of each in every millisecond or so. */
export class NumberedTraffic implements Disposable {
  readonly #streams = new Map<string, NumberedStream>();
  readonly #waiting = new Set<{ readonly ticks: number; readonly resolve: () => void }>();
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** Begins a stream. */
  add(name: string, source: FakeNic, to: NumberedStream["to"]): void {
    this.#streams.set(name, { name, to, source, sent: 0 });
  }

  /** The streams of a NIC go on from another one, or from none. */
  move(from: FakeNic | undefined, to: FakeNic | undefined, names: readonly string[]): void {
    for (const name of names) {
      const stream = this.#streams.get(name);
      if (stream !== undefined && stream.source === from) stream.source = to;
    }
  }

  sent(name: string): number {
    return this.#streams.get(name)?.sent ?? 0;
  }

  /** Resolves after as many more rounds. */
  rounds(count: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.add({ ticks: this.#ticks + count, resolve }));
  }

  /** Nobody sends any more. */
  stop(): void {
    for (const stream of this.#streams.values()) stream.source = undefined;
  }

  /** What of a stream came to the NICs that it was for. */
  tally(name: string, nics: readonly FakeNic[]): StreamTally {
    const times = new Map<number, number>();
    let outOfOrder = 0;
    for (const { frames } of nics) {
      let highest = 0;
      for (const frame of frames) {
        const number = numberOf(frame, name);
        if (number === undefined) continue;
        times.set(number, (times.get(number) ?? 0) + 1);
        if (number < highest) outOfOrder += 1;
        highest = Math.max(highest, number);
      }
    }
    const sent = this.sent(name);
    const lost = Array.from({ length: sent }, (_, index) => index + 1).filter((number) => !times.has(number));
    const duplicated = [...times].flatMap(([number, often]) => Array.from({ length: often - 1 }, () => number));
    return { stream: name, sent, lost, duplicated, outOfOrder };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#ticks += 1;
    for (const stream of this.#streams.values()) {
      if (stream.source?.connected !== true) continue;
      stream.sent += 1;
      stream.source.say(`${stream.name} ${stream.sent}`, stream.to);
    }
    for (const waiting of this.#waiting) {
      if (waiting.ticks > this.#ticks) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }
}

/** The numbers of a stream's frames that came to a NIC, in the order in which they came. */
export function numbersAt(nic: FakeNic, stream: string): number[] {
  return nic.frames.flatMap((frame) => numberOf(frame, stream) ?? []);
}

function numberOf(frame: Buffer, stream: string): number | undefined {
  const text = readTestFrame(frame)?.split("@", 1)[0];
  return text?.startsWith(`${stream} `) === true ? Number(text.slice(stream.length + 1)) : undefined;
}
