import { ETHERNET_HEADER_BYTES, recordWithoutTag, recordWithTag, LENGTH_PREFIX_BYTES } from "./ethernet-frame.ts";
import type { ExplainStep } from "./explanation.ts";
import { readMacHigh, readMacLow } from "./mac-address.ts";
import type { Place } from "./place.ts";
import type { SwitchPort } from "./switch-port.ts";

/**
 * The one frame that an engine is working on, and what was decided about it so far. There is one such object per engine, used again for
 * every frame, so that the stages pass a single argument and make no garbage.
 */
export class FrameInFlight {
  /** The frame is `buffer[start, end)`; its length is in the four bytes before `start`. Shared: to change it, make a record of its own. */
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** Whether these bytes carry an 802.1Q tag. */
  tagged = false;
  /** The VLAN in which it travels; of a private VLAN the sender's secondary. */
  vlan = 0;
  /** What its tag says besides the VLAN, and gets where one is put on: 802.1p priority (three bits) and drop eligibility (one). */
  tagFlags = 0;
  /** The port of this host that it came from. */
  from: SwitchPort | undefined = undefined;
  /** Where it came from: the port, another host, or the physical network. */
  origin: Place | undefined = undefined;
  /** The frame's number in its engine: forms of one frame have the same. */
  sequence = 0;
  toHigh = 0;
  toLow = 0;
  fromHigh = 0;
  fromLow = 0;
  /** Whether the destination is a group. */
  group = false;
  /** The frame with a tag if it came without, and the other way round; made when first needed. */
  #otherForm: Buffer | undefined = undefined;

  // What was decided.
  readonly ports: SwitchPort[] = [];
  portCount = 0;
  /** The other hosts that get it, unless all do. */
  readonly peers: Place[] = [];
  allPeers = false;
  /** Whether it is for a station that nobody is known to be. */
  flooded = false;

  /** Where somebody asks what would happen to the frame: nothing is sent, learned or counted, and each step is written here. */
  trace: ExplainStep[] | undefined = undefined;
  /** Only with `trace`: the source address would have been learned by now. */
  sourceLearned = false;

  /** Starts with another frame. It holds at least the two addresses. */
  begin(buffer: Buffer, start: number, end: number, from: SwitchPort | undefined, origin: Place): void {
    this.sequence += 1;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.tagged = false;
    this.vlan = 0;
    this.tagFlags = 0;
    this.from = from;
    this.origin = origin;
    this.sourceLearned = false;
    this.clearDecision();
    this.readAddresses();
  }

  /** Takes other bytes of the same frame. */
  replace(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.#otherForm = undefined;
  }

  clearDecision(): void {
    this.#otherForm = undefined;
    this.portCount = 0;
    if (this.peers.length > 0) this.peers.length = 0;
    this.allPeers = false;
    this.flooded = false;
  }

  /** Leaves out the ports that a condition doesn't hold for. */
  keepPorts(condition: (port: SwitchPort) => boolean): void {
    let kept = 0;
    for (let index = 0; index < this.portCount; index += 1) {
      const port = this.ports[index] as SwitchPort;
      if (!condition(port)) continue;
      this.ports[kept] = port;
      kept += 1;
    }
    this.portCount = kept;
  }

  readAddresses(): void {
    const { buffer, start } = this;
    this.toHigh = readMacHigh(buffer, start);
    this.toLow = readMacLow(buffer, start);
    this.fromHigh = readMacHigh(buffer, start + 6);
    this.fromLow = readMacLow(buffer, start + 6);
    this.group = (this.toHigh & 0x100) !== 0;
  }

  /** Whether source and destination are one address. */
  get toSource(): boolean {
    return this.toLow === this.fromLow && this.toHigh === this.fromHigh;
  }

  /** Where the EtherType of what it carries is, its tag passed over. */
  get typeOffset(): number {
    return this.start + ETHERNET_HEADER_BYTES - 2 + (this.tagged ? 4 : 0);
  }

  /** The frame in the form in which it didn't come, as a record. */
  otherForm(): Buffer {
    this.#otherForm ??= this.tagged
      ? recordWithoutTag(this.buffer, this.start, this.end)
      : recordWithTag(this.buffer, this.start, this.end, this.vlan | (this.tagFlags << 12));
    return this.#otherForm;
  }

  /** Becomes `frame` in the tagged or untagged form, to be sent to one place. */
  becomeForm(frame: FrameInFlight, tagged: boolean): void {
    if (frame.tagged === tagged) {
      this.buffer = frame.buffer;
      this.start = frame.start;
      this.end = frame.end;
    } else {
      const other = frame.otherForm();
      this.buffer = other;
      this.start = LENGTH_PREFIX_BYTES;
      this.end = other.length;
    }
    this.#otherForm = undefined;
    this.tagged = tagged;
    this.vlan = frame.vlan;
    this.tagFlags = frame.tagFlags;
    this.sequence = frame.sequence;
    this.trace = frame.trace;
    this.toHigh = frame.toHigh;
    this.toLow = frame.toLow;
    this.fromHigh = frame.fromHigh;
    this.fromLow = frame.fromLow;
  }
}
