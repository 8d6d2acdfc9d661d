import type { CaptureTap } from "./capture-tap.ts";
import { ETHERNET_HEADER_BYTES, MAX_MTU } from "./ethernet-frame.ts";
import type { FilterRule } from "./filter-rule.ts";
import { HoldQueue, type HoldQueueOptions } from "./hold-queue.ts";
import type { LoopWatch } from "./loop-guard.ts";
import { formatMac, type MacAddress, macHigh, macLow, parseMac } from "./mac-address.ts";
import { Place } from "./place.ts";
import type { EgressPolicy, IngressPolicy } from "./port-policy.ts";
import type { ShapingSetting } from "./port-shaper.ts";
import type { PrivateVlans } from "./private-vlans.ts";
import { type InDropReason, type OutDropReason, TrafficCounters, type TrafficStatistics } from "./traffic-counters.ts";
import type { TeamingSetting } from "./uplink-team.ts";
import { UPLINK, VlanMembership, type VlanSetting } from "./vlan-membership.ts";

/**
 * What a port may do besides sending from and receiving at its own address. True accepts, false (the default of all three) rejects.
 */
export interface SecuritySetting {
  /** Gets a copy of every frame of its VLANs on this host. Rejected: unicast to other addresses never reaches it. */
  readonly promiscuous?: boolean | undefined;
  /** May send from addresses that aren't its own. */
  readonly forgedTransmits?: boolean | undefined;
  /**
   * The address that it sends from becomes an address of its own, in addition to the assigned one: the last one it used. The data
   * plane can't see the guest's NIC, only its frames, so a changed address and a forged one look alike until this says which.
   */
  readonly macChanges?: boolean | undefined;
}

/** Learning of addresses behind a port, for nested hosts and bridges in a guest. Off by default. */
export interface MacLearningSetting {
  readonly enabled: boolean;
  /** How many addresses may be behind the port. Defaults to `4096`. */
  readonly limit?: number | undefined;
  /**
   * What happens to a frame from an address that can't be learned because a table is full: it is dropped as `learningLimit`, or
   * forwarded (`flood`: answers to it are flooded). Defaults to `flood`.
   */
  readonly whenFull?: "drop" | "flood" | undefined;
  /** Whether unicast to addresses that nobody is known to have goes to this port. Defaults to `true`. */
  readonly floodUnknown?: boolean | undefined;
}

/** The effective settings of one port: inheritance between switch, port group and port is resolved before they come here. */
export interface PortSettings {
  /** The address assigned to the NIC, `52:54:00:12:34:56`. */
  readonly macAddress: string;
  readonly vlan: VlanSetting;
  /** Passes nothing, both ways. Defaults to `false`. */
  readonly blocked?: boolean | undefined;
  readonly security?: SecuritySetting | undefined;
  readonly macLearning?: MacLearningSetting | undefined;
  /** Looked at in order; see `FilterRule`. Defaults to none. */
  readonly filters?: readonly FilterRule[] | undefined;
  /** Limits what the VM sends. */
  readonly shapingIn?: ShapingSetting | undefined;
  /** Limits what is sent to the VM. */
  readonly shapingOut?: ShapingSetting | undefined;
  /** Which uplinks the port uses, where the switch goes by uplinks. Defaults to all, in their order. */
  readonly teaming?: TeamingSetting | undefined;
  /** The largest payload of a frame, in octets; the switch's holds as well. Defaults to the switch's. */
  readonly mtu?: number | undefined;
}

/**
 * The run-time gate of a port, for replication and migration. `hold` keeps what the VM sends until it is released or discarded, and
 * lets what is sent to the VM through; `drop` passes nothing, both ways.
 */
export type Gate = "open" | "hold" | "drop";

/**
 * Where frames leave. `deliver` gets `buffer[start, end)`, with the frame's 32-bit big-endian length in the four bytes before `start`;
 * the bytes are shared with other ports and must not be changed. It returns why it refused, or undefined. Frames need not leave before
 * `flush`.
 */
export interface FrameSink {
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined;
  flush(): void;
}

/**
 * One port's counters. At any instant `in.frames = forwarded + held + in.dropped`; `out.frames + out.dropped` is what the switch sent
 * towards the port. `in` is what the VM sent, `out` what it was sent.
 */
export interface SwitchPortStatistics {
  readonly in: TrafficStatistics<InDropReason>;
  readonly out: TrafficStatistics<OutDropReason>;
  /** Frames from the VM that were switched to at least one place. */
  readonly forwarded: number;
  /** Frames from the VM that the gate keeps back now. */
  readonly held: number;
  /** Frames whose source address was not learned because a table was full. */
  readonly learningRefused: number;
}

/** A port's state inside `SwitchEngine`, which alone changes it; `linkUp` is set by whoever owns the socket. */
export class SwitchPort extends Place {
  // What every frame asks for comes first, so that it lies together in memory.
  readonly in: TrafficCounters<InDropReason> = new TrafficCounters();
  readonly out: TrafficCounters<OutDropReason> = new TrafficCounters();
  readonly sink: FrameSink;
  /** The number of the last frame sent to this port, so that no frame is sent twice. */
  lastFrame = 0;
  linkUp = false;
  gate: Gate = "open";
  blocked = false;
  /** Whether copies of a mirror session leave here; the port then takes part in nothing else. */
  mirrorTarget = false;
  /** Whether the sink was given something since it was last flushed. */
  dirty = false;
  forwarded = 0;
  /** The longest frame without its tag that the port takes and gets. */
  longest = 0;
  membership!: VlanMembership;
  /** What is done with frames besides switching them; undefined where nothing is, so that it costs nothing. */
  policyIn: IngressPolicy | undefined = undefined;
  policyOut: EgressPolicy | undefined = undefined;
  /** What the loop guard remembers; undefined where there is nothing. */
  watch: LoopWatch | undefined = undefined;
  /** Who looks at what passes; undefined where nobody does. */
  taps: CaptureTap[] | undefined = undefined;
  #assignedHigh = 0;
  #assignedLow = 0;
  #effectiveHigh = 0;
  #effectiveLow = 0;
  forgedTransmits = false;
  learns = false;
  macChanges = false;
  promiscuous = false;
  floods = false;
  dropsStrangers = false;
  learningLimit = 0;
  learningRefused = 0;
  assignedMac: MacAddress = -1;
  #effectiveMac: MacAddress = 0;
  settings: PortSettings;
  readonly held: HoldQueue;
  readonly #isUplink: boolean;

  constructor(key: string, settings: PortSettings, sink: FrameSink, options: SwitchPortOptions = {}) {
    super("port", key);
    this.sink = sink;
    this.held = new HoldQueue(options.hold);
    this.#isUplink = options.uplink ?? false;
    this.settings = settings;
    this.configure(settings, options.privateVlans);
  }

  /** Throws a `RangeError` for a `macAddress` that isn't one. */
  configure(settings: PortSettings, privateVlans?: PrivateVlans): void {
    const assigned = parseMac(settings.macAddress);
    if (assigned === undefined) throw new RangeError(`port '${this.key}': '${settings.macAddress}' is no MAC address`);
    this.settings = settings;
    this.membership = new VlanMembership(this.#isUplink ? UPLINK : settings.vlan, privateVlans);
    this.blocked = settings.blocked ?? false;
    this.promiscuous = settings.security?.promiscuous ?? false;
    this.forgedTransmits = settings.security?.forgedTransmits ?? false;
    this.macChanges = settings.security?.macChanges ?? false;
    this.learns = settings.macLearning?.enabled ?? false;
    this.learningLimit = settings.macLearning?.limit ?? 4096;
    this.dropsStrangers = settings.macLearning?.whenFull === "drop";
    this.floods = this.learns && (settings.macLearning?.floodUnknown ?? true);
    this.longest = (settings.mtu ?? MAX_MTU) + ETHERNET_HEADER_BYTES;
    if (assigned !== this.assignedMac || !this.macChanges) this.effectiveMac = assigned;
    this.assignedMac = assigned;
    this.#assignedHigh = macHigh(assigned);
    this.#assignedLow = macLow(assigned);
  }

  /** The address that the guest changed to, or the assigned one. */
  get effectiveMac(): MacAddress {
    return this.#effectiveMac;
  }

  get effectiveMacText(): string {
    return formatMac(this.#effectiveMac);
  }

  set effectiveMac(mac: MacAddress) {
    this.#effectiveMac = mac;
    this.#effectiveHigh = macHigh(mac);
    this.#effectiveLow = macLow(mac);
  }

  /** Whether an address, given by its halves, is the port's own. */
  owns(high: number, low: number): boolean {
    return (
      (low === this.#assignedLow && high === this.#assignedHigh) ||
      (low === this.#effectiveLow && high === this.#effectiveHigh)
    );
  }

  /** Whether an address, given by its halves, is the one that the port was given. */
  isAssigned(high: number, low: number): boolean {
    return low === this.#assignedLow && high === this.#assignedHigh;
  }

  /** Whether frames to this port's own addresses should come here, rather than to wherever else the addresses were seen. */
  get attracts(): boolean {
    return this.linkUp && !this.blocked && this.gate !== "drop" && !this.mirrorTarget;
  }

  statistics(): SwitchPortStatistics {
    return {
      in: this.in.statistics(),
      out: this.out.statistics(),
      forwarded: this.forwarded,
      held: this.held.size,
      learningRefused: this.learningRefused,
    };
  }
}

export interface SwitchPortOptions {
  readonly hold?: HoldQueueOptions | undefined;
  /** The switch's private VLANs, which its ports share. */
  readonly privateVlans?: PrivateVlans | undefined;
  /** Whether this is a way to the physical network; it then carries every VLAN. Defaults to `false`. */
  readonly uplink?: boolean | undefined;
}
