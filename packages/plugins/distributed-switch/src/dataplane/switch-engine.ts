import { isDeepStrictEqual } from "node:util";
import { Egress } from "./egress.ts";
import { DEFAULT_MTU, ETHERNET_HEADER_BYTES } from "./ethernet-frame.ts";
import { EventLog } from "./event-log.ts";
import { Forwarding } from "./forwarding.ts";
import { FrameExplainer } from "./frame-explainer.ts";
import { FramePipeline } from "./frame-pipeline.ts";
import { IngressAdmission } from "./ingress-admission.ts";
import type { MacAddress } from "./mac-address.ts";
import { LoopGuard } from "./loop-guard.ts";
import { MacTable } from "./mac-table.ts";
import { MulticastSnooping } from "./multicast-snooping.ts";
import type { Place } from "./place.ts";
import { PortDirectory } from "./port-directory.ts";
import { exportPortState, importPortState, type PortState, type PortStateSources } from "./port-state.ts";
import { type FrameSink, type Gate, type PortSettings, SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import type { EngineLimits, SwitchEngineOptions } from "./switch-engine-options.ts";
import { NO_TUNNEL, type TunnelSink } from "./tunnel-sink.ts";
import { UplinkTeam } from "./uplink-team.ts";

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
  /** The uplinks, and which port uses which. */
  readonly team: UplinkTeam = new UplinkTeam();
  /** Tells what would become of a frame. */
  readonly explainer: FrameExplainer;
  readonly #table: MacTable;
  readonly #tunnel: TunnelSink;
  readonly #admission: IngressAdmission;
  readonly #egress = new Egress();
  readonly #pipeline: FramePipeline;
  readonly #loops: LoopGuard;

  constructor(options: SwitchEngineOptions) {
    this.#table = new MacTable({ ageingMs: options.macAgeingMs, limit: options.macLimit });
    this.#tunnel = options.tunnel ?? NO_TUNNEL;
    this.directory = new PortDirectory({
      table: this.#table,
      log: this.log,
      egress: this.#egress,
      hold: options.hold,
      mirrorSink: options.mirrorSink,
    });
    const { owners, vlans, privateVlans } = this.directory;
    this.#admission = new IngressAdmission(owners);
    const table = this.#table;
    const stages = {
      admission: this.#admission,
      forwarding: new Forwarding({ table, owners, vlans, privateVlans, snooping: this.snooping }),
      egress: this.#egress,
      tunnel: this.#tunnel,
    };
    this.#loops = new LoopGuard({ table, directory: this.directory, limit: options.loopLimit });
    this.#pipeline = new FramePipeline({
      ...stages,
      loops: this.#loops,
      clock: options.now,
      directory: this.directory,
      table,
      team: this.team,
    });
    this.explainer = new FrameExplainer({
      ...stages,
      now: () => this.#pipeline.time(),
      vlans,
      team: () => (this.#pipeline.usesUplinks ? this.team : undefined),
      learn: (port, frame) => this.#pipeline.learn(port, frame),
      learnOutside: (frame, peer) => this.#pipeline.learnOutside(frame, peer),
      peer: (key) => this.#pipeline.peer(key),
    });
    this.maxMtu = options.maxMtu ?? DEFAULT_MTU;
  }

  /** Addresses learned and not yet forgotten. */
  get learnedAddresses(): number {
    return this.#table.size;
  }

  /** Frames sent towards ports and uplinks so far: what all of them, those that are gone included, have delivered and dropped together. */
  get copies(): number {
    return this.#egress.copies;
  }

  /** Bounds that may change while the engine runs. Addresses beyond a smaller `learnedAddresses` stay until they age; `hold` is for ports to come. */
  setLimits({ learnedAddresses, strangersPerSecond, hold }: EngineLimits): void {
    this.#table.limit = learnedAddresses;
    this.#loops.limit = strangersPerSecond;
    this.directory.hold = hold;
  }

  /** Whether a port is cut off from floods, since its VM makes a loop. */
  isLooped(port: SwitchPort): boolean {
    return port.watch !== undefined && this.#pipeline.time() < port.watch.bannedUntil;
  }

  set maxMtu(octets: number) {
    this.#admission.longest = octets + ETHERNET_HEADER_BYTES;
  }

  /** Whether frames for elsewhere go by the uplinks, rather than through the tunnel. Addresses learned the other way are forgotten. */
  set usesUplinks(uses: boolean) {
    if (this.#pipeline.usesUplinks === uses) return;
    this.#pipeline.usesUplinks = uses;
    for (const peer of this.#tunnel.peers()) this.removePeer(peer);
    this.#forget(this.team.place);
  }

  port(key: string): SwitchPort | undefined {
    return this.directory.get(key);
  }

  /** Throws a `RangeError` when the key is taken, or the settings can't be read. */
  addPort(key: string, settings: PortSettings, sink: FrameSink): SwitchPort {
    const port = this.directory.add(key, settings, sink);
    this.team.choose(port);
    return port;
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
    if (this.team.choose(port)) this.#pipeline.announce(port, "uplinks");
  }

  removePort(port: SwitchPort): void {
    this.directory.remove(port);
    this.team.forget(port);
    this.#forget(port);
  }

  /** Adds a way to the physical network. It has no link yet. */
  addUplink(name: string, key: string, sink: FrameSink): SwitchPort {
    // An uplink has no address of its own; it is in no index of ports.
    const uplink = new SwitchPort(key, { macAddress: "00:00:00:00:00:00", vlan: { kind: "none" } }, sink, {
      uplink: true,
    });
    this.team.add(name, uplink);
    return uplink;
  }

  removeUplink(name: string): void {
    this.team.remove(name);
    this.uplinksChanged();
  }

  /** To be called when an uplink's link has come or gone: ports that used it take another, and tell the network. */
  uplinksChanged(): void {
    for (const port of this.directory.all()) {
      if (this.team.choose(port)) this.#pipeline.announce(port, "uplinks");
    }
  }

  /** Forgets the addresses behind a peer that is gone. */
  removePeer(peer: string): void {
    const place = this.#pipeline.peer(peer);
    if (place !== undefined) this.#forget(place);
    this.#pipeline.removePeer(peer);
  }

  /** Forgets that a peer has this address: what is sent there goes to every host until it is learned anew. */
  forgetAtPeer(peer: string, mac: MacAddress): void {
    const place = this.#pipeline.peer(peer);
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
    this.#pipeline.release(port, frames);
    return frames.length;
  }

  /** Drops the oldest `count` held frames, or all, as `holdDiscarded`. Returns how many. */
  discard(port: SwitchPort, count?: number): number {
    const discarded = port.held.take(count).length;
    port.in.drop("holdDiscarded", discarded);
    return discarded;
  }

  /**
   * Tells every switch that the port's address is here now, and so are the stations behind it, by broadcasts: in its untagged VLAN, of a
   * trunk in each of its VLANs (see `announcementsOf` for how many). A port that is gated or blocked says nothing. Not counted as traffic
   * of the port.
   */
  announce(port: SwitchPort): void {
    this.#pipeline.announce(port, "everybody");
  }

  /** Takes one frame from a port's NIC. */
  receiveFromPort(port: SwitchPort, buffer: Buffer, start: number, end: number): void {
    this.#pipeline.fromPort(port, buffer, start, end);
  }

  /**
   * Takes one untagged frame of `vlan` from another host. Returns why it was dropped; undefined when it went to a port. With `detours` that
   * host may be passing on what others sent: where the sender is, is then learned from frames for groups alone.
   */
  receiveFromPeer(
    peer: string,
    vlan: number,
    buffer: Buffer,
    start: number,
    end: number,
    detours: boolean = false,
  ): InDropReason | undefined {
    return this.#pipeline.fromPeer(peer, vlan, buffer, start, end, detours);
  }

  /** Takes a copy that another host made for a port here that is a mirror session's destination. Returns why it was dropped. */
  receiveMirrored(port: SwitchPort, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    return this.#egress.mirrored(port, buffer, start, end) === undefined ? undefined : "noDestination";
  }

  /** Takes one frame from the physical network. */
  receiveFromUplink(uplink: SwitchPort, buffer: Buffer, start: number, end: number): void {
    this.#pipeline.fromUplink(uplink, buffer, start, end);
  }

  /** The addresses of a port besides its assigned one: what was learned behind it, and what its guest changed to. */
  stationsBehind(port: SwitchPort): readonly MacAddress[] {
    const learned = this.#table.addressesAt(port, this.#pipeline.time()).map(({ mac }) => mac);
    return [...new Set([port.effectiveMac, ...learned])];
  }

  /** What a port takes along to another host. */
  exportPort(port: SwitchPort): PortState {
    return exportPortState(port, this.#stateSources());
  }

  /**
   * Gives a port what it had on another host: counters are added, the rest takes the place of what is here. If it came with other stations
   * than its own address, everybody is told where they are; if with memberships, its guest is asked to report them to the other hosts too.
   */
  importPort(port: SwitchPort, state: PortState): void {
    importPortState(port, state, this.#stateSources());
    if (port.stations > 0 || port.effectiveMac !== port.assignedMac) this.announce(port);
    if (this.snooping.enabled) this.#pipeline.askMembers(port, state.groups);
  }

  /** Lets go of what has expired. To be called now and then, such as once a second. */
  tick(): void {
    const now = this.#pipeline.time();
    this.snooping.expire(now);
    this.directory.flows?.expire(now);
  }

  /** Lets every sink send what it was given. Call it after each batch of frames. */
  flush(): void {
    this.#pipeline.flush();
  }

  #stateSources(): PortStateSources {
    return {
      now: this.#pipeline.time(),
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
}
