import type { FrameExplanation, MigrationTicket, Neighbour, SwitchSpec } from "@vdc-os/core/network/v1";
import { lldpFrame, readLldpFrame } from "./lldp-frame.ts";
import { sendFlow } from "./memory-flow.ts";
import { admit, isGroup, isJoin, leaving, macAt, matches, receivers, tagged, untagged } from "./memory-forwarding.ts";
import type { MemoryFrame, MemoryPort } from "./memory-port.ts";
import type { SuiteNic } from "./suite-nic.ts";

/** A port's move, and the port that it becomes. */
export interface MemoryMove {
  ticket: MigrationTicket;
  readonly port: MemoryPort;
}

/** A spec on trial, and what holds again when it is taken back. */
export interface MemoryTrial {
  readonly generation: number;
  readonly previous: { readonly spec: SwitchSpec; readonly generation: number };
  readonly deadline: number;
  state: "waits" | "confirmed" | "rolledBack";
}

/** One switch of the reference: what it is told to be, its ports, and how frames go between them, at once. */
export class MemoryFabric {
  spec: SwitchSpec;
  generation: number;
  /** Generations up to this one can't be applied, besides those that are older than the present one. */
  spent = 0;
  readonly ports: Map<string, MemoryPort> = new Map();
  readonly moves: Map<string, MemoryMove> = new Map();
  readonly trials: Map<string, MemoryTrial> = new Map();
  readonly neighbours: Map<string, Neighbour> = new Map();
  readonly #uplinks = new Map<string, SuiteNic>();

  constructor(spec: SwitchSpec, generation: number) {
    this.spec = spec;
    this.generation = generation;
  }

  get connected(): readonly MemoryPort[] {
    return [...this.ports.values()].filter(({ connected }) => connected);
  }

  /** Takes a frame from a VM. */
  take(port: MemoryPort, bytes: Buffer): void {
    port.count.framesIn += 1;
    port.count.bytesIn += bytes.length;
    for (const tap of port.taps) tap("in", bytes);
    this.#mirror(port, "in", bytes);
    const frame = this.#limited(port, bytes) ?? admit(port, bytes);
    if (typeof frame === "string") port.drop(frame);
    else if (port.gate === "drop") port.drop("gateDrop");
    else if (!this.#learn(port, macAt(bytes, 6))) port.drop("learningLimit");
    else if (port.gate === "hold") port.held.push(frame);
    else this.forward(port, frame);
  }

  forward(port: MemoryPort, frame: MemoryFrame): void {
    port.count.forwarded += 1;
    if (this.spec.multicastSnooping === true && isJoin(frame.bytes)) {
      // The group's address is the destination of a report, and of what is sent to the group.
      port.groups.add(macAt(frame.bytes, 0));
    }
    if (this.spec.flowExport !== undefined) sendFlow(this.spec.flowExport, frame.bytes);
    const takers = receivers(port, frame, this.connected, this.spec.multicastSnooping === true);
    for (const taker of takers) this.#give(taker, frame);
    const uplink = this.uplinkOf(port);
    if (uplink !== undefined && (isGroup(frame.bytes) || takers.length === 0)) {
      this.#uplinks.get(uplink)?.onFrame(frame.vlan === 0 ? frame.bytes : tagged(frame.bytes, frame.vlan));
    }
  }

  release(port: MemoryPort, count: number): number {
    const frames = port.held.splice(0, count);
    for (const frame of frames) this.forward(port, frame);
    return frames.length;
  }

  /** What would be done with a frame, without doing it. */
  explain(port: MemoryPort, bytes: Buffer): FrameExplanation {
    const frame = admit(port, bytes);
    if (typeof frame === "string") {
      const steps = [{ stage: "admission", detail: `the port does not take it: ${frame}` }];
      return { verdict: "drop", reason: frame, ports: [], hosts: [], steps };
    }
    const takers = receivers(port, frame, this.connected, this.spec.multicastSnooping === true);
    const ports = takers.map(({ request }) => request.portKey).sort();
    const verdict = isGroup(bytes) ? "flood" : "forward";
    const steps = [{ stage: "forwarding", detail: `it is in VLAN ${frame.vlan}, and for ${ports.length} ports` }];
    return { verdict, reason: "address", ports, hosts: [], steps };
  }

  /** The far end of an uplink has come. */
  plugUplink(name: string): SuiteNic {
    const end: SuiteNic = {
      send: (bytes) => this.#fromUplink(name, Buffer.from(bytes)),
      onFrame: () => undefined,
      close: () => void this.#uplinks.delete(name),
    };
    this.#uplinks.set(name, end);
    return end;
  }

  hasUplink(name: string): boolean {
    return this.#uplinks.has(name);
  }

  /** The uplink that a port uses now. */
  uplinkOf({ setting: { teaming } }: MemoryPort): string | undefined {
    return [...(teaming?.active ?? []), ...(teaming?.standby ?? [])].find((name) => this.#uplinks.has(name));
  }

  /** Tells everybody at the uplinks who is here. */
  advertise(): void {
    const { discovery, name } = this.spec;
    if (discovery !== "advertise" && discovery !== "both") return;
    for (const [uplink, end] of this.#uplinks) end.onFrame(lldpFrame("52:54:00:00:00:01", name, uplink, name));
  }

  #fromUplink(name: string, bytes: Buffer): void {
    const host = this.spec.members[0]?.host ?? "";
    const neighbour = readLldpFrame(bytes);
    if (neighbour !== undefined) {
      this.neighbours.set(name, { host, uplink: name, ...neighbour, expiresInMs: 120_000 });
      this.advertise();
      return;
    }
    const source = macAt(bytes, 6);
    if (this.connected.some(({ request }) => request.mac === source)) return;
    const frame = untagged(bytes) ?? { bytes, vlan: 0 };
    for (const taker of receivers(undefined, frame, this.connected, false)) this.#give(taker, frame);
  }

  #give(port: MemoryPort, frame: MemoryFrame): void {
    if (port.gate === "drop" || port.nic === undefined) return;
    const bytes = leaving(port, frame);
    port.count.framesOut += 1;
    port.count.bytesOut += bytes.length;
    for (const tap of port.taps) tap("out", bytes);
    this.#mirror(port, "out", bytes);
    port.nic.onFrame(bytes);
  }

  #limited(port: MemoryPort, bytes: Buffer): string | undefined {
    const { shapingIn, filters = [] } = port.setting;
    if (shapingIn !== undefined) {
      const { averageBitsPerSecond, burstBytes } = shapingIn;
      if (!port.withinRate("shaping", averageBitsPerSecond / 8, burstBytes, bytes.length)) return "shaped";
    }
    for (const rule of filters) {
      if (rule.action.kind !== "rateLimit" || rule.direction === "out" || !matches(rule, bytes, 0)) continue;
      const rate = rule.action.packetsPerSecond;
      if (!port.withinRate(`filter ${rule.name}`, rate, rate, 1)) return "filtered";
    }
    return undefined;
  }

  #learn(port: MemoryPort, source: string): boolean {
    const { macLearning } = port.setting;
    if (macLearning?.enabled !== true || source === port.request.mac || port.learned.has(source)) return true;
    if (port.learned.size >= macLearning.limit) return macLearning.whenFull === "flood";
    port.learned.add(source);
    return true;
  }

  #mirror(port: MemoryPort, direction: "in" | "out", bytes: Buffer): void {
    for (const session of this.spec.mirrors ?? []) {
      if (!session.sourcePorts.includes(port.request.portKey) || session.destination.kind !== "port") continue;
      if (session.direction !== direction && session.direction !== "both") continue;
      this.ports.get(session.destination.portKey)?.nic?.onFrame(bytes);
    }
  }
}
