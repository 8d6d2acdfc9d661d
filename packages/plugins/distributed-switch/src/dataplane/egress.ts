import { LENGTH_PREFIX_BYTES, recordOf, VLAN_TAG_BYTES } from "./ethernet-frame.ts";
import { FrameInFlight } from "./frame-in-flight.ts";
import { readMac } from "./mac-address.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { OutDropReason } from "./traffic-counters.ts";

/**
 * The last stage: a frame leaves through ports of this host, each in the form that the port's VLAN policy asks for. Every frame sent
 * towards a port is counted there, as delivered or as dropped for a reason.
 */
export class Egress {
  /** The frame in the form for the port at hand. */
  readonly #wire = new FrameInFlight();
  readonly #copy = new FrameInFlight();
  readonly #dirty: SwitchPort[] = [];
  #copies = 0;

  /** Frames sent towards ports so far, mirrored ones included: what the ports have delivered and dropped together. */
  get copies(): number {
    return this.#copies;
  }

  /** Sends the frame towards one port. */
  send(port: SwitchPort, frame: FrameInFlight, now: number): void {
    this.#copies += 1;
    const wire = this.#wire;
    let refusal: OutDropReason | undefined = this.check(port, frame, now);
    if (refusal === undefined) refusal = port.sink.deliver(wire.buffer, wire.start, wire.end);
    if (refusal === undefined) {
      port.out.frame(wire.end - wire.start);
      port.out.castHalves(frame.toHigh, frame.toLow);
      this.#touch(port);
      port.policyOut?.afterDelivery(wire, now);
    } else port.out.drop(refusal);
    if (port.taps !== undefined) {
      for (const tap of port.taps) tap.record("out", wire.buffer, wire.start, wire.end, refusal);
    }
  }

  /** Brings the frame into the form for a port. Returns why it is not to be delivered; whether the port's queue has room isn't asked. */
  check(port: SwitchPort, frame: FrameInFlight, now: number): OutDropReason | undefined {
    const wire = this.#wire;
    const closed = this.#closed(port);
    if (closed !== undefined && port.taps === undefined) return closed;
    wire.becomeForm(frame, port.membership.tags(frame.vlan));
    if (closed !== undefined) return closed;
    if (port.watch !== undefined && now < port.watch.bannedUntil && !port.owns(frame.toHigh, frame.toLow))
      return "looped";
    if (wire.end - wire.start > (wire.tagged ? port.longest + VLAN_TAG_BYTES : port.longest)) return "tooLong";
    return port.policyOut === undefined ? undefined : port.policyOut.beforeDelivery(wire, now);
  }

  /** The untagged form of a frame, for tunnels. Valid until the next call of this object. */
  untagged(frame: FrameInFlight): FrameInFlight {
    this.#wire.becomeForm(frame, false);
    return this.#wire;
  }

  /**
   * Sends a mirrored copy out of a port: as it is tagged there, whether or not the port is in the frame's VLAN, and past filters and
   * shaping. False when it is dropped, which is counted at the port.
   */
  mirrorTo(port: SwitchPort, frame: FrameInFlight, snapLength: number): boolean {
    this.#copies += 1;
    const copy = this.#copy;
    copy.becomeForm(frame, port.membership.tags(frame.vlan));
    if (copy.end - copy.start > snapLength) {
      const record = recordOf(copy.buffer.subarray(copy.start, copy.start + snapLength));
      copy.replace(record, LENGTH_PREFIX_BYTES, record.length);
    }
    const refusal = this.#closed(port) ?? port.sink.deliver(copy.buffer, copy.start, copy.end);
    if (refusal !== undefined) {
      port.out.drop(refusal);
      return false;
    }
    port.out.frame(copy.end - copy.start);
    port.out.castHalves(frame.toHigh, frame.toLow);
    this.#touch(port);
    return true;
  }

  /**
   * Sends a copy that another host made out of a port, as it is. Returns why it is dropped, which is counted at the port as well.
   */
  mirrored(port: SwitchPort, buffer: Buffer, start: number, end: number): OutDropReason | undefined {
    this.#copies += 1;
    const refusal = this.#closed(port) ?? port.sink.deliver(buffer, start, end);
    if (refusal !== undefined) {
      port.out.drop(refusal);
      return refusal;
    }
    port.out.frame(end - start);
    port.out.cast(readMac(buffer, start));
    this.#touch(port);
    return undefined;
  }

  /** Lets every sink send what it was given. */
  flush(): void {
    const dirty = this.#dirty;
    for (let index = 0; index < dirty.length; index += 1) {
      const port = dirty[index] as SwitchPort;
      port.dirty = false;
      port.sink.flush();
    }
    dirty.length = 0;
  }

  #closed(port: SwitchPort): OutDropReason | undefined {
    if (port.blocked) return "blocked";
    if (port.gate === "drop") return "gateDrop";
    return port.linkUp ? undefined : "linkDown";
  }

  #touch(port: SwitchPort): void {
    if (port.dirty) return;
    port.dirty = true;
    this.#dirty.push(port);
  }
}
