import { formatMac } from "./mac-address.ts";
import { TokenBucket } from "./token-bucket.ts";

/** A frame that a filter rule with the action `log` saw, or several like it in a row. */
export interface FilterEvent {
  /** Grows by one with each event; a gap is what was overwritten before it was read. */
  readonly sequence: number;
  /** When the last of the frames came, on the data plane's clock. */
  readonly atMs: number;
  readonly portKey: string;
  readonly rule: string;
  readonly direction: "in" | "out";
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly vlan: number;
  readonly etherType: number;
  /** How many frames this stands for. */
  readonly count: number;
}

/** What `EventLog.record` is told. */
export interface LoggedFrame {
  readonly portKey: string;
  readonly rule: string;
  readonly direction: "in" | "out";
  readonly source: number;
  readonly destination: number;
  readonly vlan: number;
  readonly etherType: number;
}

interface Entry extends LoggedFrame {
  readonly sequence: number;
  atMs: number;
  count: number;
}

/** How many events are kept. */
const KEPT_EVENTS = 1024;
/** How many new events a second there may be; more frames are only counted. */
const EVENTS_PER_SECOND = 100;

/**
 * The last events of a switch's `log` rules. Bounded in memory and in rate: frames like the one before add to its count, and those over the
 * rate add to `suppressed`.
 */
export class EventLog {
  readonly #events: Entry[] = [];
  readonly #bucket = new TokenBucket(EVENTS_PER_SECOND, EVENTS_PER_SECOND);
  #sequence = 0;
  #suppressed = 0;

  /** Frames that no event tells of. */
  get suppressed(): number {
    return this.#suppressed;
  }

  record(frame: LoggedFrame, now: number): void {
    const last = this.#events.at(-1);
    if (last !== undefined && isLike(last, frame)) {
      last.count += 1;
      last.atMs = now;
      return;
    }
    if (!this.#bucket.allows(1, now)) {
      this.#suppressed += 1;
      return;
    }
    this.#bucket.take(1);
    this.#sequence += 1;
    this.#events.push({ ...frame, sequence: this.#sequence, atMs: now, count: 1 });
    // In larger steps, so that the array isn't moved for every event.
    if (this.#events.length >= KEPT_EVENTS * 2) this.#events.splice(0, KEPT_EVENTS);
  }

  /** The events after `sequence`, oldest first. */
  read(sequence: number = 0): FilterEvent[] {
    return this.#events
      .slice(-KEPT_EVENTS)
      .filter((event) => event.sequence > sequence)
      .map(({ source, destination, ...event }) => ({
        ...event,
        sourceMac: formatMac(source),
        destinationMac: formatMac(destination),
      }));
  }
}

function isLike(event: LoggedFrame, frame: LoggedFrame): boolean {
  return (
    event.source === frame.source &&
    event.destination === frame.destination &&
    event.portKey === frame.portKey &&
    event.rule === frame.rule &&
    event.direction === frame.direction &&
    event.vlan === frame.vlan &&
    event.etherType === frame.etherType
  );
}
