import { isDeepStrictEqual } from "node:util";
import { Egress } from "./egress.ts";
import {
  announcementFrame,
  DEFAULT_MTU,
  ETHERNET_HEADER_BYTES,
  LENGTH_PREFIX_BYTES,
  recordOf,
} from "./ethernet-frame.ts";
import { EventLog } from "./event-log.ts";
import { type Explanation, explainFrame } from "./explain.ts";
import { Forwarding } from "./forwarding.ts";
import { FrameInFlight } from "./frame-in-flight.ts";
import type { HoldQueueOptions } from "./hold-queue.ts";
import { IngressAdmission, isRunt } from "./ingress-admission.ts";
import type { MacAddress } from "./mac-address.ts";
import { MacTable } from "./mac-table.ts";
import type { MirrorSink } from "./mirror-session.ts";
import { MulticastSnooping } from "./multicast-snooping.ts";
import { Place } from "./place.ts";
import { PortDirectory } from "./port-directory.ts";
import { exportPortState, importPortState, type PortState, type PortStateSources } from "./port-state.ts";
import type { FrameSink, Gate, PortSettings, SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import { NO_TUNNEL, type TunnelSink } from "./tunnel-sink.ts";

export interface SwitchEngineOptions {
  /** A monotonic clock in milliseconds. It is read once between two calls of `flush`. */
  readonly now: () => number;
  /** The largest payload in octets. Defaults to `1500`. */
  readonly maxMtu?: number;
  /** How long a learned address is remembered. Defaults to `300_000`. */
  readonly macAgeingMs?: number;
  /** How many addresses are learned in all. Defaults to `65_536`. */
  readonly macLimit?: number;
  readonly tunnel?: TunnelSink;
  readonly hold?: HoldQueueOptions;
  /** Takes the copies of mirror sessions with a remote destination; without one they are dropped. */
  readonly mirrorSink?: MirrorSink;
}

/**
 * One distributed switch's forwarding on one host, without I/O: frames come in by method calls and leave through sinks.
 *
 * A frame passes these stages: admission (may it come in, and in which VLAN), policy (mirrors, filters, shaping), the gate, learning, the
 * decision, and egress (form, policy and queue of each port that gets it).
 *
 * Guarantees: a frame never leaves its VLAN; never returns to where it came from; a frame from another host goes to local ports only
 * (split horizon, so that a full mesh of hosts has no loops); frames between two places keep their order; every frame that comes in is
 * counted as forwarded, held or dropped for a reason, and every copy sent towards a port as delivered or dropped for a reason.
 */
export class SwitchEngine {
  /** The ports, and what is configured across them. */
  readonly directory: PortDirectory;
  /** What rules with the action `log` saw. */
  readonly log: EventLog = new EventLog();
  /** Multicast snooping, off unless enabled. */
  readonly snooping: MulticastSnooping = new MulticastSnooping();
  readonly #table: MacTable;
  readonly #tunnel: TunnelSink;
  readonly #admission: IngressAdmission;
  readonly #forwarding: Forwarding;
  readonly #egress = new Egress();
  readonly #peers = new Map<string, Place>();
  readonly #frame = new FrameInFlight();
  readonly #clock: () => number;
  #now = 0;
  #nowIsKnown = false;

  constructor(options: SwitchEngineOptions) {
    this.#clock = options.now;
    this.#table = new MacTable({ ageingMs: options.macAgeingMs, limit: options.macLimit });
    this.directory = new PortDirectory({
      table: this.#table,
      log: this.log,
      egress: this.#egress,
      hold: options.hold,
      mirrorSink: options.mirrorSink,
    });
    const { owners, vlans, privateVlans } = this.directory;
    this.#admission = new IngressAdmission(owners);
    this.#forwarding = new Forwarding({
      table: this.#table,
      owners,
      vlans,
      privateVlans,
      snooping: this.snooping,
    });
    this.#tunnel = options.tunnel ?? NO_TUNNEL;
    this.maxMtu = options.maxMtu ?? DEFAULT_MTU;
  }

  /** Addresses learned and not yet forgotten. */
  get learnedAddresses(): number {
    return this.#table.size;
  }

  /** Frames sent towards ports so far: what all ports, those that are gone included, have delivered and dropped together. */
  get copies(): number {
    return this.#egress.copies;
  }

  set maxMtu(octets: number) {
    this.#admission.longest = octets + ETHERNET_HEADER_BYTES;
  }

  port(key: string): SwitchPort | undefined {
    return this.directory.get(key);
  }

  /** Throws a `RangeError` when the key is taken, or the settings can't be read. */
  addPort(key: string, settings: PortSettings, sink: FrameSink): SwitchPort {
    return this.directory.add(key, settings, sink);
  }

  /**
   * Gives a port other settings. Its counters, gate and held frames stay, and so does the state of filters and shapers that are as they
   * were. What was learned behind it is learned anew when its VLANs, security or learning are others; groups when its VLANs are.
   */
  configurePort(port: SwitchPort, settings: PortSettings): void {
    const { vlan, security, macLearning } = port.settings;
    this.directory.configure(port, settings);
    const sameVlan = isDeepStrictEqual(vlan, settings.vlan);
    if (!sameVlan) this.snooping.forget(port);
    if (!sameVlan || !isDeepStrictEqual([security, macLearning], [settings.security, settings.macLearning])) {
      this.#table.forget(port);
    }
  }

  removePort(port: SwitchPort): void {
    this.directory.remove(port);
    this.#forget(port);
  }

  /** Forgets the addresses behind a peer that is gone. */
  removePeer(peer: string): void {
    const place = this.#peers.get(peer);
    if (place !== undefined) this.#forget(place);
    this.#peers.delete(peer);
  }

  /** Forgets that a peer has this address: what is sent there goes to every host until it is learned anew. */
  forgetAtPeer(peer: string, mac: MacAddress): void {
    const place = this.#peers.get(peer);
    if (place !== undefined) this.#table.forgetAddress(mac, place);
  }

  /** Sets the gate. To `open` releases what was held, in order; to `drop` discards it. */
  setGate(port: SwitchPort, gate: Gate): void {
    port.gate = gate;
    if (gate === "open") this.release(port);
    else if (gate === "drop") {
      this.discard(port);
      this.#forget(port);
    }
  }

  /** Forwards the oldest `count` held frames, or all. Returns how many. The gate stays as it is. */
  release(port: SwitchPort, count?: number): number {
    const frames = port.held.take(count);
    for (const { record, vlan, tagged, priority } of frames) {
      const frame = this.#frame;
      frame.begin(record, LENGTH_PREFIX_BYTES, record.length, port, port);
      frame.vlan = vlan;
      frame.tagged = tagged;
      frame.priority = priority;
      // The settings may have changed since the frame was taken in.
      const refusal = port.blocked
        ? "blocked"
        : port.membership.takesIn(vlan)
          ? this.#switchFromPort(port, frame)
          : "vlanNotAllowed";
      if (refusal !== undefined) port.in.drop(refusal);
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
    const frame = this.#frame;
    frame.begin(record, LENGTH_PREFIX_BYTES, record.length, port, port);
    frame.vlan = vlan;
    this.#forwarding.decide(frame, this.#time());
    this.#send(frame);
  }

  /** Takes one frame from a port's NIC. */
  receiveFromPort(port: SwitchPort, buffer: Buffer, start: number, end: number): void {
    port.in.frame(end - start);
    const refusal = isRunt(start, end) ? "runt" : this.#receive(port, buffer, start, end);
    if (refusal !== undefined) port.in.drop(refusal);
    if (port.taps !== undefined) for (const tap of port.taps) tap.record("in", buffer, start, end, refusal);
  }

  /** Takes one untagged frame of `vlan` from another host. Returns why it was dropped; undefined when it went to a port. */
  receiveFromPeer(peer: string, vlan: number, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    if (isRunt(start, end)) return "runt";
    let place = this.#peers.get(peer);
    if (place === undefined) {
      place = new Place("peer", peer);
      this.#peers.set(peer, place);
    }
    const frame = this.#frame;
    frame.begin(buffer, start, end, undefined, place);
    frame.vlan = vlan;
    const refused = this.#admission.fromPeer(frame);
    if (refused !== undefined) return refused;
    const { vlans, privateVlans } = this.directory;
    if (vlans.portsOf(vlan).all.length === 0) return "noDestination";
    const now = this.#time();
    const limit = Number.POSITIVE_INFINITY;
    this.#table.learn(privateVlans.primaryOf(vlan), frame.fromHigh, frame.fromLow, place, limit, now);
    const refusal = this.#forwarding.decide(frame, now);
    return this.#send(frame) > 0 ? undefined : refusal;
  }

  /**
   * What would happen to a frame from a port's NIC now, and why. Sends, learns and counts nothing. Whether queues have room isn't known;
   * what another host does with the frame isn't either.
   */
  explain(port: SwitchPort, bytes: Uint8Array): Explanation {
    return explainFrame(port, bytes, {
      now: this.#time(),
      admission: this.#admission,
      forwarding: this.#forwarding,
      egress: this.#egress,
      tunnel: this.#tunnel,
      learn: (frame) => this.#learn(port, frame),
    });
  }

  /** What a port takes along to another host. */
  exportPort(port: SwitchPort): PortState {
    return exportPortState(port, this.#stateSources());
  }

  /** Gives a port what it had on another host: counters are added, the rest takes the place of what is here. */
  importPort(port: SwitchPort, state: PortState): void {
    importPortState(port, state, this.#stateSources());
  }

  /** Lets go of what has expired. To be called now and then, such as once a second. */
  tick(): void {
    this.snooping.expire(this.#time());
    this.directory.flows?.expire(this.#time());
  }

  /** Lets every sink send what it was given. Call it after each batch of frames. */
  flush(): void {
    this.#nowIsKnown = false;
    this.#egress.flush();
  }

  #receive(port: SwitchPort, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    const frame = this.#frame;
    frame.begin(buffer, start, end, port, port);
    port.in.castHalves(frame.toHigh, frame.toLow);
    let refusal = this.#admission.fromPort(port, frame);
    if (refusal !== undefined) return refusal;
    if (port.policyIn !== undefined) {
      refusal = port.policyIn.apply(frame, this.#time());
      if (refusal !== undefined) return refusal;
    }
    if (port.gate !== "hold") return this.#switchFromPort(port, frame);
    const record = recordOf(frame.buffer.subarray(frame.start, frame.end));
    const { vlan, tagged, priority } = frame;
    return port.held.push({ record, vlan, tagged, priority }) ? undefined : "holdFull";
  }

  #switchFromPort(port: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    const unlearned = this.#learn(port, frame);
    if (unlearned !== undefined) return unlearned;
    const refusal = this.#forwarding.decide(frame, this.#time());
    if (this.#send(frame) === 0) return refusal;
    port.forwarded += 1;
    return undefined;
  }

  /** Own addresses are known without learning, and without `learns` a foreign one must not attract frames. */
  #learn(port: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    if (!port.learns || port.owns(frame.fromHigh, frame.fromLow)) return undefined;
    const vlan = this.directory.privateVlans.primaryOf(frame.vlan);
    const { fromHigh, fromLow } = frame;
    if (frame.trace !== undefined) {
      const outcome = this.#table.probe(vlan, fromHigh, fromLow, port, port.learningLimit, this.#time());
      frame.trace.push({ stage: "learning", text: `the source address is ${outcome}` });
      frame.sourceLearned = outcome !== "limited";
    } else {
      const outcome = this.#table.learn(vlan, fromHigh, fromLow, port, port.learningLimit, this.#time());
      if (outcome !== "limited") return undefined;
      port.learningRefused += 1;
    }
    return port.dropsStrangers && !frame.sourceLearned ? "learningLimit" : undefined;
  }

  /** Does what was decided. Returns to how many places the frame was addressed, whether or not their queues took it. */
  #send(frame: FrameInFlight): number {
    const now = this.#now;
    let targets = frame.portCount;
    for (let index = 0; index < targets; index += 1) this.#egress.send(frame.ports[index] as SwitchPort, frame, now);
    if (frame.allPeers) targets += this.#tunnel.flood(frame.vlan, this.#egress.untagged(frame));
    else {
      for (const peer of frame.peers) {
        targets += this.#tunnel.send(peer.key, frame.vlan, this.#egress.untagged(frame));
      }
    }
    return targets;
  }

  #stateSources(): PortStateSources {
    return {
      now: this.#time(),
      table: this.#table,
      snooping: this.snooping,
      mirrors: this.directory.mirrorPoints(),
      changeAddress: (port, mac) => this.#admission.changeAddress(port, mac),
    };
  }

  #forget(place: Place): void {
    this.#table.forget(place);
    this.snooping.forget(place);
  }

  #time(): number {
    if (!this.#nowIsKnown) {
      this.#nowIsKnown = true;
      this.#now = this.#clock();
    }
    return this.#now;
  }
}
