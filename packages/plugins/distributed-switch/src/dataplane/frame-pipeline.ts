import { announcementsOf } from "./announcements.ts";
import type { Egress } from "./egress.ts";
import { announcementFrame, LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { Forwarding } from "./forwarding.ts";
import { FrameInFlight } from "./frame-in-flight.ts";
import type { HeldFrame } from "./hold-queue.ts";
import { type IngressAdmission, isRunt } from "./ingress-admission.ts";
import type { LoopGuard } from "./loop-guard.ts";
import type { MacTable } from "./mac-table.ts";
import { membershipQuery } from "./membership-query.ts";
import type { GroupMembership } from "./multicast-snooping.ts";
import { Place } from "./place.ts";
import type { PortDirectory } from "./port-directory.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import type { TunnelSink } from "./tunnel-sink.ts";
import type { UplinkTeam } from "./uplink-team.ts";

/** The stages and tables that frames pass. */
export interface FramePipelineOptions {
  readonly clock: () => number;
  readonly directory: PortDirectory;
  readonly table: MacTable;
  readonly admission: IngressAdmission;
  readonly forwarding: Forwarding;
  readonly egress: Egress;
  readonly tunnel: TunnelSink;
  readonly team: UplinkTeam;
  readonly loops: LoopGuard;
}

/** In how many VLANs a port is asked at once for its groups. */
const QUERIES = 64;

/** The way of a frame through the stages of the switch, for each of the places that it can come from. */
export class FramePipeline {
  /** Whether what isn't here goes by the uplinks, rather than through the tunnel. */
  usesUplinks = false;
  readonly #stages: FramePipelineOptions;
  readonly #directory: PortDirectory;
  readonly #egress: Egress;
  readonly #peers = new Map<string, Place>();
  readonly #frame = new FrameInFlight();
  #now = 0;
  #nowIsKnown = false;

  constructor(options: FramePipelineOptions) {
    this.#stages = options;
    this.#directory = options.directory;
    this.#egress = options.egress;
  }

  fromPort(port: SwitchPort, buffer: Buffer, start: number, end: number): void {
    port.in.frame(end - start);
    const refusal = isRunt(start, end) ? "runt" : this.#takeIn(port, buffer, start, end);
    if (refusal !== undefined) port.in.drop(refusal);
    if (port.taps !== undefined) for (const tap of port.taps) tap.record("in", buffer, start, end, refusal);
  }

  /** `detours`: of a host that may be passing frames on, only frames for groups say where their sender is. */
  fromPeer(
    peer: string,
    vlan: number,
    buffer: Buffer,
    start: number,
    end: number,
    detours: boolean,
  ): InDropReason | undefined {
    if (isRunt(start, end)) return "runt";
    let place = this.#peers.get(peer);
    if (place === undefined) {
      place = new Place("peer", peer);
      this.#peers.set(peer, place);
    }
    const frame = this.#frame;
    frame.begin(buffer, start, end, undefined, place);
    frame.vlan = vlan;
    const refused = this.#stages.admission.fromPeer(frame);
    if (refused !== undefined) return refused;
    if (this.#directory.vlans.portsOf(vlan).all.length === 0) return "noDestination";
    if (!detours || frame.group) this.learnOutside(frame, place);
    const refusal = this.#stages.forwarding.decide(frame, this.time());
    return this.#send(frame) > 0 ? undefined : refusal;
  }

  fromUplink(uplink: SwitchPort, buffer: Buffer, start: number, end: number): void {
    uplink.in.frame(end - start);
    const refusal = isRunt(start, end) ? "runt" : this.#takeFromUplink(uplink, buffer, start, end);
    if (refusal === undefined) uplink.forwarded += 1;
    else uplink.in.drop(refusal);
    if (uplink.taps !== undefined) for (const tap of uplink.taps) tap.record("in", buffer, start, end, refusal);
  }

  /** Goes on with frames that the gate held. */
  release(port: SwitchPort, frames: readonly HeldFrame[]): void {
    for (const { record, vlan, tagged, tagFlags } of frames) {
      const frame = this.#frame;
      frame.begin(record, LENGTH_PREFIX_BYTES, record.length, port, port);
      frame.vlan = vlan;
      frame.tagged = tagged;
      frame.tagFlags = tagFlags;
      // The settings may have changed since the frame was taken in.
      const refusal = port.blocked
        ? "blocked"
        : port.membership.takesIn(vlan)
          ? this.#switchFromPort(port, frame)
          : "vlanNotAllowed";
      if (refusal !== undefined) port.in.drop(refusal);
    }
  }

  /** Says that the port's address, and what is behind it, is here: to everybody, or only beyond the uplinks. */
  announce(port: SwitchPort, to: "everybody" | "uplinks"): void {
    if (!port.attracts || port.gate !== "open") return;
    const now = this.time();
    const { vlans } = this.#directory;
    const frame = this.#frame;
    for (const { vlan, mac } of announcementsOf(port, { table: this.#stages.table, vlans, now })) {
      const record = recordOf(announcementFrame(mac));
      frame.begin(record, LENGTH_PREFIX_BYTES, record.length, port, port);
      frame.vlan = vlan;
      if (to === "everybody") this.#stages.forwarding.decide(frame, now);
      else frame.allPeers = true;
      this.#send(frame);
    }
  }

  /**
   * Asks whoever is behind a port to say again which groups it wants: the answers tell the other hosts where the members are now. `about` is
   * what is known of them.
   */
  askMembers(port: SwitchPort, about: readonly GroupMembership[]): void {
    const now = this.time();
    const asked = new Set<string>();
    for (const { vlan, group } of about) {
      const family = group.startsWith("33:33:") ? "mld" : "igmp";
      if (asked.has(`${vlan} ${family}`) || asked.size >= QUERIES || !port.membership.admits(vlan)) continue;
      asked.add(`${vlan} ${family}`);
      const record = membershipQuery(family);
      const frame = this.#frame;
      frame.begin(record, LENGTH_PREFIX_BYTES, record.length, undefined, port);
      frame.vlan = vlan;
      this.#egress.send(port, frame, now);
    }
  }

  /** Own addresses are known without learning, and without `learns` a foreign one must not attract frames. One that is known elsewhere may be a loop's. */
  learn(port: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    if (port.isAssigned(frame.fromHigh, frame.fromLow)) return undefined;
    if (this.#stages.loops.catches(port, frame, this.time())) return "looped";
    if (!port.learns || port.owns(frame.fromHigh, frame.fromLow)) return undefined;
    const { table } = this.#stages;
    const vlan = this.#directory.privateVlans.primaryOf(frame.vlan);
    const { fromHigh, fromLow } = frame;
    if (frame.trace !== undefined) {
      const outcome = table.probe(vlan, fromHigh, fromLow, port, port.learningLimit, this.time());
      frame.trace.push({ stage: "learning", text: `the source address is ${outcome}` });
      frame.sourceLearned = outcome !== "limited";
    } else {
      const outcome = table.learn(vlan, fromHigh, fromLow, port, port.learningLimit, this.time());
      if (outcome !== "limited") return undefined;
      port.learningRefused += 1;
    }
    return port.dropsStrangers && !frame.sourceLearned ? "learningLimit" : undefined;
  }

  /** Takes note of where a frame from elsewhere says that its sender is. */
  learnOutside(frame: FrameInFlight, place: Place): void {
    const { table } = this.#stages;
    const vlan = this.#directory.privateVlans.primaryOf(frame.vlan);
    const { fromHigh, fromLow } = frame;
    const limit = Number.POSITIVE_INFINITY;
    if (frame.trace === undefined) table.learn(vlan, fromHigh, fromLow, place, limit, this.time());
    else frame.sourceLearned = table.probe(vlan, fromHigh, fromLow, place, limit, this.time()) !== "limited";
  }

  /** The place of another host; undefined when it was never heard of. */
  peer(key: string): Place | undefined {
    return this.#peers.get(key);
  }

  removePeer(key: string): void {
    this.#peers.delete(key);
  }

  flush(): void {
    this.#nowIsKnown = false;
    this.#egress.flush();
  }

  /** The time, read once between two calls of `flush`. */
  time(): number {
    if (!this.#nowIsKnown) {
      this.#nowIsKnown = true;
      this.#now = this.#stages.clock();
    }
    return this.#now;
  }

  #takeIn(port: SwitchPort, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    const frame = this.#frame;
    frame.begin(buffer, start, end, port, port);
    port.in.castHalves(frame.toHigh, frame.toLow);
    let refusal = this.#stages.admission.fromPort(port, frame);
    if (refusal !== undefined) return refusal;
    if (port.policyIn !== undefined) {
      refusal = port.policyIn.apply(frame, this.time());
      if (refusal !== undefined) return refusal;
    }
    if (port.gate !== "hold") return this.#switchFromPort(port, frame);
    const record = recordOf(frame.buffer.subarray(frame.start, frame.end));
    const { vlan, tagged, tagFlags } = frame;
    return port.held.push({ record, vlan, tagged, tagFlags }) ? undefined : "holdFull";
  }

  #switchFromPort(port: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    const unlearned = this.learn(port, frame);
    if (unlearned !== undefined) return unlearned;
    const refusal = this.#stages.forwarding.decide(frame, this.time());
    if (this.#send(frame) === 0) return this.usesUplinks && isForOutside(frame) ? "noUplink" : refusal;
    port.forwarded += 1;
    return undefined;
  }

  #takeFromUplink(uplink: SwitchPort, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    const { admission, forwarding, team, table } = this.#stages;
    const frame = this.#frame;
    frame.begin(buffer, start, end, undefined, team.place);
    uplink.in.castHalves(frame.toHigh, frame.toLow);
    const refused = admission.fromUplink(uplink, frame);
    if (refused !== undefined) return refused;
    const { owners, vlans, privateVlans } = this.#directory;
    const now = this.time();
    const primary = privateVlans.primaryOf(frame.vlan);
    for (const owner of owners.find(frame.fromHigh, frame.fromLow)) {
      if (owner.attracts && owner.membership.touches(primary)) return "looped";
    }
    // A station behind a port here: it has moved if the network could send this to us, and else the frame is its own that came back.
    const known = table.lookup(primary, frame.fromHigh, frame.fromLow, now);
    if (known?.kind === "port" && team.uplinkFor(known as SwitchPort, frame) !== uplink) return "looped";
    if (vlans.portsOf(frame.vlan).all.length === 0) return "noDestination";
    this.learnOutside(frame, team.place);
    const refusal = forwarding.decide(frame, now);
    const decided = frame.portCount;
    frame.keepPorts((port) => team.accepts(port, uplink, frame));
    if (decided > 0 && frame.portCount === 0) return "reverseFilter";
    return this.#send(frame) > 0 ? undefined : refusal;
  }

  /** Does what was decided. Returns to how many places the frame was addressed, whether or not their queues took it. */
  #send(frame: FrameInFlight): number {
    const now = this.#now;
    const egress = this.#egress;
    let targets = frame.portCount;
    for (let index = 0; index < targets; index += 1) egress.send(frame.ports[index] as SwitchPort, frame, now);
    if (!isForOutside(frame)) return targets;
    if (this.usesUplinks) return targets + this.#sendUp(frame, now);
    const { tunnel } = this.#stages;
    if (frame.allPeers) return targets + tunnel.flood(frame.vlan, egress.untagged(frame));
    for (const peer of frame.peers) targets += tunnel.send(peer.key, frame.vlan, egress.untagged(frame));
    return targets;
  }

  #sendUp(frame: FrameInFlight, now: number): 0 | 1 {
    const { from } = frame;
    const uplink = from === undefined ? undefined : this.#stages.team.uplinkFor(from, frame);
    if (uplink === undefined) return 0;
    this.#egress.send(uplink, frame, now);
    return 1;
  }
}

function isForOutside(frame: FrameInFlight): boolean {
  return frame.allPeers || frame.peers.length > 0;
}
