import { isDeepStrictEqual } from "node:util";
import type { Egress } from "./egress.ts";
import type { EventLog } from "./event-log.ts";
import { FilterProgram, type FilterSurroundings } from "./filter-program.ts";
import type { FlowTable } from "./flow-table.ts";
import type { HoldQueueOptions } from "./hold-queue.ts";
import type { MacTable } from "./mac-table.ts";
import { MirrorPoint, type MirrorSession, type MirrorSink } from "./mirror-session.ts";
import { OwnerIndex } from "./owner-index.ts";
import { EgressPolicy, hasWork, IngressPolicy, type PolicyParts } from "./port-policy.ts";
import { PortShaper } from "./port-shaper.ts";
import { type PrivateVlan, PrivateVlans } from "./private-vlans.ts";
import { type FrameSink, type PortSettings, SwitchPort } from "./switch-port.ts";
import { VlanIndex } from "./vlan-index.ts";

export interface PortDirectoryOptions {
  readonly table: MacTable;
  readonly log: EventLog;
  readonly egress: Egress;
  readonly hold?: HoldQueueOptions | undefined;
  readonly mirrorSink?: MirrorSink | undefined;
}

/**
 * A switch's ports and everything that is looked up by them. Each change costs the same however many ports there are; only a change of the
 * mirror sessions or of flow accounting looks at all of them.
 */
export class PortDirectory {
  readonly owners: OwnerIndex = new OwnerIndex();
  readonly vlans: VlanIndex = new VlanIndex();
  readonly privateVlans: PrivateVlans = new PrivateVlans();
  /** Bounds what the gates of ports to come keep. */
  hold: HoldQueueOptions | undefined;
  readonly #options: PortDirectoryOptions;
  readonly #ports = new Map<string, SwitchPort>();
  #pairs: readonly PrivateVlan[] = [];
  readonly #sessions = new Map<string, MirrorPoint>();
  readonly #mirrorsIn = new Map<string, MirrorPoint[]>();
  readonly #mirrorsOut = new Map<string, MirrorPoint[]>();
  readonly #mirrorsTo = new Map<string, MirrorPoint[]>();
  #flows: FlowTable | undefined;

  constructor(options: PortDirectoryOptions) {
    this.#options = options;
    this.hold = options.hold;
  }

  get(key: string): SwitchPort | undefined {
    return this.#ports.get(key);
  }

  all(): Iterable<SwitchPort> {
    return this.#ports.values();
  }

  add(key: string, settings: PortSettings, sink: FrameSink): SwitchPort {
    if (this.#ports.has(key)) throw new RangeError(`port '${key}' exists`);
    const port = new SwitchPort(key, settings, sink, { hold: this.hold, privateVlans: this.privateVlans });
    this.#applyPolicy(port, undefined);
    this.#ports.set(key, port);
    this.#bindTarget(port);
    this.#enter(port);
    return port;
  }

  configure(port: SwitchPort, settings: PortSettings): void {
    const before = port.settings;
    const { assignedMac, effectiveMac } = port;
    this.#leave(port);
    try {
      port.configure(settings, this.privateVlans);
      this.#applyPolicy(port, before);
    } finally {
      this.owners.remove(port, assignedMac);
      this.owners.remove(port, effectiveMac);
      this.#enter(port);
    }
  }

  remove(port: SwitchPort): void {
    this.#ports.delete(port.key);
    this.#leave(port);
    this.owners.remove(port, port.assignedMac);
    this.owners.remove(port, port.effectiveMac);
    for (const point of this.#mirrorsTo.get(port.key) ?? []) point.target = undefined;
  }

  /** The pairs that the switch's configuration names, besides those of the ports here. */
  setPrivateVlans(pairs: readonly PrivateVlan[]): void {
    if (isDeepStrictEqual(pairs, this.#pairs)) return;
    for (const pair of this.#pairs) this.privateVlans.remove(pair);
    for (const pair of pairs) this.privateVlans.add(pair);
    this.#pairs = pairs;
    this.vlans.invalidate();
    // What was learned under one VLAN's number would now be looked for under another's.
    for (const port of this.#ports.values()) this.#options.table.forget(port);
  }

  /** Replaces the mirror sessions. One that stays as it was keeps its counters. */
  setMirrors(sessions: readonly MirrorSession[]): void {
    const { egress, mirrorSink } = this.#options;
    const before = new Map(this.#sessions);
    this.#sessions.clear();
    for (const index of [this.#mirrorsIn, this.#mirrorsOut, this.#mirrorsTo]) index.clear();
    for (const session of sessions) {
      const old = before.get(session.name);
      const point =
        old !== undefined && isDeepStrictEqual(old.session, session)
          ? old
          : new MirrorPoint(session, (port, frame, length) => egress.mirrorTo(port, frame, length), mirrorSink);
      point.target = undefined;
      this.#sessions.set(session.name, point);
      for (const key of new Set(session.sourcePorts)) {
        if (session.direction !== "out") push(this.#mirrorsIn, key, point);
        if (session.direction !== "in") push(this.#mirrorsOut, key, point);
      }
      if (session.destination.kind === "port") push(this.#mirrorsTo, session.destination.portKey, point);
    }
    for (const port of this.#ports.values()) {
      this.#leave(port);
      this.#bindTarget(port);
      this.#applyPolicy(port, port.settings);
      this.#enter(port);
    }
  }

  get flows(): FlowTable | undefined {
    return this.#flows;
  }

  /** Accounts every port's frames to flows, or none. */
  setFlows(flows: FlowTable | undefined): void {
    this.#flows = flows;
    for (const port of this.#ports.values()) this.#applyPolicy(port, port.settings);
  }

  mirrorPoints(): Iterable<MirrorPoint> {
    return this.#sessions.values();
  }

  mirrorPoint(name: string): MirrorPoint | undefined {
    return this.#sessions.get(name);
  }

  #bindTarget(port: SwitchPort): void {
    const points = this.#mirrorsTo.get(port.key);
    port.mirrorTarget = points !== undefined;
    for (const point of points ?? []) point.target = port;
  }

  /** Makes the port's policies. What its settings leave as it was keeps its state. */
  #applyPolicy(port: SwitchPort, before: PortSettings | undefined): void {
    const { filters, shapingIn, shapingOut } = port.settings;
    const sameFilters = before !== undefined && isDeepStrictEqual(before.filters, filters);
    const partsIn: PolicyParts = {
      mirrors: this.#mirrorsIn.get(port.key) ?? [],
      filter: sameFilters ? port.policyIn?.parts.filter : this.#compile(port, "in"),
      shaper:
        before !== undefined && isDeepStrictEqual(before.shapingIn, shapingIn)
          ? port.policyIn?.parts.shaper
          : shapingIn && new PortShaper(shapingIn),
      flows: this.#flows,
    };
    const partsOut: PolicyParts = {
      mirrors: this.#mirrorsOut.get(port.key) ?? [],
      filter: sameFilters ? port.policyOut?.parts.filter : this.#compile(port, "out"),
      shaper:
        before !== undefined && isDeepStrictEqual(before.shapingOut, shapingOut)
          ? port.policyOut?.parts.shaper
          : shapingOut && new PortShaper(shapingOut),
      flows: this.#flows,
    };
    port.policyIn = hasWork(partsIn) ? new IngressPolicy(port.key, partsIn) : undefined;
    port.policyOut = hasWork(partsOut) ? new EgressPolicy(port.key, partsOut) : undefined;
  }

  #compile(port: SwitchPort, direction: "in" | "out"): FilterProgram | undefined {
    const { filters } = port.settings;
    if (filters === undefined || filters.length === 0) return undefined;
    const surroundings: FilterSurroundings = {
      portKey: port.key,
      log: this.#options.log,
      mirror: (session, frame, towards) => this.#sessions.get(session)?.copy(frame, towards),
    };
    return FilterProgram.compile(filters, direction, surroundings);
  }

  #enter(port: SwitchPort): void {
    if (port.mirrorTarget) return;
    const pair = port.membership.privateVlan;
    if (pair !== undefined && this.privateVlans.add(pair)) this.vlans.invalidate();
    this.vlans.add(port);
    this.owners.add(port, port.assignedMac);
    this.owners.add(port, port.effectiveMac);
  }

  #leave(port: SwitchPort): void {
    if (port.mirrorTarget) return;
    this.vlans.remove(port);
    const pair = port.membership.privateVlan;
    if (pair !== undefined && this.privateVlans.remove(pair)) this.vlans.invalidate();
  }
}

function push(index: Map<string, MirrorPoint[]>, key: string, point: MirrorPoint): void {
  const points = index.get(key);
  if (points === undefined) index.set(key, [point]);
  else points.push(point);
}
