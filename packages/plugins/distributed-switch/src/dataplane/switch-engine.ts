import {
  announcementFrame,
  ETHERNET_HEADER_BYTES,
  LENGTH_PREFIX_BYTES,
  readTag,
  recordOf,
  recordWithoutTag,
  recordWithTag,
  UNTAGGED,
  VLAN_TAG_BYTES,
} from "./ethernet-frame.ts";
import type { HoldQueueOptions } from "./hold-queue.ts";
import { isGroupMac, isLinkLocalMac, type MacAddress, readMac } from "./mac-address.ts";
import { MacTable } from "./mac-table.ts";
import { type FrameSink, type Gate, type PortSettings, SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";

/**
 * The way to the switch's other hosts. Frames given to it are untagged; the VLAN goes beside them. Each method returns to how many
 * peers the frame was addressed (the tunnel counts its own drops).
 */
export interface TunnelSink {
  send(peer: string, vlan: number, frame: FrameBytes): number;
  flood(vlan: number, frame: FrameBytes): number;
}

/** The frame `buffer[start, end)`, its length in the four bytes before `start`. */
export interface FrameBytes {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

export interface SwitchEngineOptions {
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
  /** The largest payload in octets. Defaults to `1500`. */
  readonly maxMtu?: number;
  /** How long a learned address is remembered. Defaults to `300_000`. */
  readonly macAgeingMs?: number;
  /** How many addresses are learned in all. Defaults to `65_536`. */
  readonly macLimit?: number;
  readonly tunnel?: TunnelSink;
  readonly hold?: HoldQueueOptions;
}

interface VlanPorts {
  readonly all: readonly SwitchPort[];
  readonly promiscuous: readonly SwitchPort[];
}

const NO_TUNNEL: TunnelSink = { send: () => 0, flood: () => 0 };

/**
 * One distributed switch's forwarding on one host, without I/O: frames come in by method calls and leave through sinks.
 *
 * Guarantees: a frame never leaves its VLAN; never returns to where it came from; a frame from another host goes to local ports only
 * (split horizon, so that a full mesh of hosts has no loops); frames between two places keep their order; every frame that comes in is
 * counted as forwarded, held or dropped for a reason.
 */
export class SwitchEngine {
  readonly #ports = new Map<string, SwitchPort>();
  /** Own addresses of local ports. Two ports may have one address while a VM moves between them. */
  readonly #owners = new Map<MacAddress, SwitchPort[]>();
  readonly #table: MacTable<SwitchPort | string>;
  readonly #tunnel: TunnelSink;
  readonly #hold: HoldQueueOptions;
  readonly #vlans = new Map<number, VlanPorts>();
  readonly #dirty: SwitchPort[] = [];
  #maxMtu: number;
  #frameNumber = 0;
  /** The current frame in the form in which it didn't come, made when first needed. */
  #otherForm: Buffer | undefined;

  constructor(options: SwitchEngineOptions) {
    this.#table = new MacTable({
      now: options.now,
      ...(options.macAgeingMs === undefined ? {} : { ageingMs: options.macAgeingMs }),
      ...(options.macLimit === undefined ? {} : { limit: options.macLimit }),
    });
    this.#maxMtu = options.maxMtu ?? 1500;
    this.#tunnel = options.tunnel ?? NO_TUNNEL;
    this.#hold = options.hold ?? {};
  }

  /** Addresses learned and not yet forgotten. */
  get learnedAddresses(): number {
    return this.#table.size;
  }

  set maxMtu(octets: number) {
    this.#maxMtu = octets;
  }

  port(key: string): SwitchPort | undefined {
    return this.#ports.get(key);
  }

  /** Throws a `RangeError` when the key is taken. */
  addPort(key: string, settings: PortSettings, sink: FrameSink): SwitchPort {
    if (this.#ports.has(key)) throw new RangeError(`port '${key}' exists`);
    const port = new SwitchPort(key, settings, sink, this.#hold);
    this.#ports.set(key, port);
    this.#portsChanged();
    return port;
  }

  /** Gives a port other settings. Its counters, gate and held frames stay; what was learned behind it is learned anew. */
  configurePort(port: SwitchPort, settings: PortSettings): void {
    port.configure(settings);
    this.#table.forget(port);
    this.#portsChanged();
  }

  removePort(port: SwitchPort): void {
    this.#ports.delete(port.key);
    this.#table.forget(port);
    this.#portsChanged();
  }

  /** Forgets the addresses behind a peer that is gone. */
  removePeer(peer: string): void {
    this.#table.forget(peer);
  }

  /** Forgets that a peer has this address: what is sent there goes to every host until it is learned anew. */
  forgetAtPeer(peer: string, mac: MacAddress): void {
    this.#table.forgetAddress(mac, peer);
  }

  /** Sets the gate. To `open` releases what was held, in order; to `drop` discards it. */
  setGate(port: SwitchPort, gate: Gate): void {
    port.gate = gate;
    if (gate === "open") this.release(port);
    else if (gate === "drop") {
      this.discard(port);
      this.#table.forget(port);
    }
  }

  /** Forwards the oldest `count` held frames, or all. Returns how many. The gate stays as it is. */
  release(port: SwitchPort, count?: number): number {
    const frames = port.held.take(count);
    for (const { record, vlan, tagged } of frames) {
      // The settings may have changed since the frame was taken in.
      if (port.blocked) port.in.drop("blocked");
      else if (!port.membership.admits(vlan)) port.in.drop("vlanNotAllowed");
      else this.#switchFromPort(port, record, LENGTH_PREFIX_BYTES, record.length, vlan, tagged);
    }
    return frames.length;
  }

  /** Drops the oldest `count` held frames, or all, as `holdDiscarded`. Returns how many. */
  discard(port: SwitchPort, count?: number): number {
    const discarded = port.held.take(count).length;
    port.in.drop("holdDiscarded", discarded);
    return discarded;
  }

  /**
   * Tells every switch that the port's address is here now, by a broadcast in its untagged VLAN. A port that is gated, blocked or
   * without such a VLAN says nothing. Not counted as traffic of the port.
   */
  announce(port: SwitchPort): void {
    const vlan = port.membership.untaggedVlan;
    if (!port.attracts || port.gate !== "open" || vlan === undefined) return;
    const record = recordOf(announcementFrame(port.effectiveMac));
    this.#forward(port, undefined, record, LENGTH_PREFIX_BYTES, record.length, vlan, false);
  }

  /** Takes one frame from a port's NIC. */
  receiveFromPort(port: SwitchPort, buffer: Buffer, start: number, end: number): void {
    port.in.frame(end - start);
    const refusal = this.#admit(port, buffer, start, end);
    if (typeof refusal === "string") port.in.drop(refusal);
  }

  /** Takes one untagged frame of `vlan` from another host. Returns why it was dropped; undefined when it went to a port. */
  receiveFromPeer(peer: string, vlan: number, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    const malformed = this.#check(buffer, start, end, 0);
    if (malformed !== undefined) return malformed;
    if (readTag(buffer, start, end) !== UNTAGGED) return "unsupportedTag";
    if (this.#portsOf(vlan).all.length === 0) return "noDestination";
    this.#table.learn(vlan, readMac(buffer, start + 6), peer);
    return this.#forward(undefined, peer, buffer, start, end, vlan, false);
  }

  /** Lets every sink send what it was given. Call it after each batch of frames. */
  flush(): void {
    for (const port of this.#dirty) {
      port.dirty = false;
      port.sink.flush();
    }
    this.#dirty.length = 0;
  }

  #admit(port: SwitchPort, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    if (end - start < ETHERNET_HEADER_BYTES) return "runt";
    port.in.cast(readMac(buffer, start));
    if (port.blocked) return "blocked";
    if (port.gate === "drop") return "gateDrop";
    const tag = readTag(buffer, start, end);
    const malformed = this.#check(buffer, start, end, tag === UNTAGGED ? 0 : VLAN_TAG_BYTES);
    if (malformed !== undefined) return malformed;
    const vlan = port.membership.classify(tag);
    if (typeof vlan === "string") return vlan;
    const source = readMac(buffer, start + 6);
    if (!port.owns(source) && !this.#acceptSource(port, source)) return "forgedTransmit";
    let tagged = tag !== UNTAGGED;
    if (tagged && !port.membership.tags(vlan)) {
      // A priority tag, or the native VLAN tagged: inside the switch this VLAN is untagged at this port.
      buffer = recordWithoutTag(buffer, start, end);
      start = LENGTH_PREFIX_BYTES;
      end = buffer.length;
      tagged = false;
    }
    if (port.gate === "hold") {
      const held = port.held.push({ record: recordOf(buffer.subarray(start, end)), vlan, tagged });
      return held ? undefined : "holdFull";
    }
    this.#switchFromPort(port, buffer, start, end, vlan, tagged);
    return undefined;
  }

  #check(buffer: Buffer, start: number, end: number, tagBytes: number): InDropReason | undefined {
    const length = end - start;
    if (length < ETHERNET_HEADER_BYTES) return "runt";
    if (length > this.#maxMtu + ETHERNET_HEADER_BYTES + tagBytes) return "tooLong";
    const source = readMac(buffer, start + 6);
    if (source === 0 || isGroupMac(source)) return "invalidSource";
    return isLinkLocalMac(readMac(buffer, start)) ? "linkLocal" : undefined;
  }

  #acceptSource(port: SwitchPort, source: MacAddress): boolean {
    // Behind a learning port are many stations: none of them is the NIC's new address.
    if (port.forgedTransmits && port.learns) return true;
    if (!port.macChanges) return port.forgedTransmits;
    this.#disown(port, port.effectiveMac);
    port.effectiveMac = source;
    this.#own(port, source);
    this.#own(port, port.assignedMac);
    return true;
  }

  #switchFromPort(port: SwitchPort, buffer: Buffer, start: number, end: number, vlan: number, tagged: boolean): void {
    const source = readMac(buffer, start + 6);
    // Own addresses are known without learning, and without `learns` a foreign one must not attract frames.
    if (port.learns && !port.owns(source)) {
      if (this.#table.learn(vlan, source, port, port.learningLimit) === "limited") port.learningRefused += 1;
    }
    const refusal = this.#forward(port, undefined, buffer, start, end, vlan, tagged);
    if (refusal === undefined) port.forwarded += 1;
    else port.in.drop(refusal);
  }

  /** The forwarding decision. Exactly one of `from` and `peer` is given. */
  #forward(
    from: SwitchPort | undefined,
    peer: string | undefined,
    buffer: Buffer,
    start: number,
    end: number,
    vlan: number,
    tagged: boolean,
  ): InDropReason | undefined {
    this.#frameNumber += 1;
    this.#otherForm = undefined;
    // The frame's own number at its source keeps it from ever being sent back there.
    if (from !== undefined) from.lastFrame = this.#frameNumber;
    const destination = readMac(buffer, start);
    const ports = this.#portsOf(vlan);
    let targets = 0;
    let refusal: InDropReason = "noDestination";
    if (isGroupMac(destination)) {
      for (const port of ports.all) targets += this.#emit(port, buffer, start, end, vlan, tagged);
      if (from !== undefined) targets += this.#tunnel.flood(vlan, this.#untagged(buffer, start, end, tagged));
      return targets > 0 ? undefined : refusal;
    }
    let known = false;
    for (const owner of this.#owners.get(destination) ?? []) {
      if (!owner.attracts || !owner.membership.admits(vlan)) continue;
      known = true;
      if (owner === from) refusal = "toItself";
      targets += this.#emit(owner, buffer, start, end, vlan, tagged);
    }
    const learned = known ? undefined : this.#table.lookup(vlan, destination);
    if (learned instanceof SwitchPort) {
      if (learned === from) refusal = "toItself";
      targets += this.#emit(learned, buffer, start, end, vlan, tagged);
    } else if (learned !== undefined) {
      if (peer !== undefined) refusal = "splitHorizon";
      else targets += this.#tunnel.send(learned, vlan, this.#untagged(buffer, start, end, tagged));
    } else if (!known) {
      for (const port of ports.all) {
        if (port.floods || port.owns(destination)) targets += this.#emit(port, buffer, start, end, vlan, tagged);
      }
      if (from !== undefined) targets += this.#tunnel.flood(vlan, this.#untagged(buffer, start, end, tagged));
    }
    for (const port of ports.promiscuous) targets += this.#emit(port, buffer, start, end, vlan, tagged);
    return targets > 0 ? undefined : refusal;
  }

  /** Sends the frame towards a port, once. Returns 1 when the port was addressed, whether or not its queue took the frame. */
  #emit(port: SwitchPort, buffer: Buffer, start: number, end: number, vlan: number, tagged: boolean): 0 | 1 {
    if (port.lastFrame === this.#frameNumber) return 0;
    port.lastFrame = this.#frameNumber;
    if (port.blocked || port.gate === "drop" || !port.linkUp) {
      port.out.drop(port.blocked ? "blocked" : port.gate === "drop" ? "gateDrop" : "linkDown");
      return 1;
    }
    if (port.membership.tags(vlan) !== tagged) {
      this.#otherForm ??= tagged ? recordWithoutTag(buffer, start, end) : recordWithTag(buffer, start, end, vlan);
      buffer = this.#otherForm;
      start = LENGTH_PREFIX_BYTES;
      end = buffer.length;
    }
    const refusal = port.sink.deliver(buffer, start, end);
    if (refusal !== undefined) {
      port.out.drop(refusal);
      return 1;
    }
    port.out.frame(end - start);
    port.out.cast(readMac(buffer, start));
    if (!port.dirty) {
      port.dirty = true;
      this.#dirty.push(port);
    }
    return 1;
  }

  #untagged(buffer: Buffer, start: number, end: number, tagged: boolean): FrameBytes {
    if (!tagged) return { buffer, start, end };
    this.#otherForm ??= recordWithoutTag(buffer, start, end);
    return { buffer: this.#otherForm, start: LENGTH_PREFIX_BYTES, end: this.#otherForm.length };
  }

  #portsOf(vlan: number): VlanPorts {
    let ports = this.#vlans.get(vlan);
    if (ports === undefined) {
      const all = [...this.#ports.values()].filter((port) => port.membership.admits(vlan));
      ports = { all, promiscuous: all.filter((port) => port.promiscuous) };
      this.#vlans.set(vlan, ports);
    }
    return ports;
  }

  #portsChanged(): void {
    this.#vlans.clear();
    this.#indexOwners();
  }

  #indexOwners(): void {
    this.#owners.clear();
    for (const port of this.#ports.values()) {
      this.#own(port, port.assignedMac);
      this.#own(port, port.effectiveMac);
    }
  }

  #own(port: SwitchPort, mac: MacAddress): void {
    const owners = this.#owners.get(mac);
    if (owners === undefined) this.#owners.set(mac, [port]);
    else if (!owners.includes(port)) owners.push(port);
  }

  #disown(port: SwitchPort, mac: MacAddress): void {
    const rest = this.#owners.get(mac)?.filter((owner) => owner !== port) ?? [];
    if (rest.length === 0) this.#owners.delete(mac);
    else this.#owners.set(mac, rest);
  }
}
