import { isDeepStrictEqual } from "node:util";
import type { DataPlaneSwitchConfig, FlowAccounting, UplinkConfig } from "./data-plane-config.ts";
import { type DataPlaneLimits, defaultLimits } from "./data-plane-limits.ts";
import type { DataPlanePortStatistics, DataPlanePortStatus, DataPlaneSwitchStatus } from "./data-plane-status.ts";
import { DEFAULT_MTU, ETHERNET_HEADER_BYTES, LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { Explanation } from "./explanation.ts";
import { type FlowRecord, FlowTable } from "./flow-table.ts";
import { HostPorts } from "./host-ports.ts";
import type { HostSwitchOptions } from "./host-switch-options.ts";
import { HostUplinks, type UplinkUse } from "./host-uplinks.ts";
import { parseMac } from "./mac-address.ts";
import type { MirrorCopy, MirrorSession } from "./mirror-session.ts";
import { MIRROR_SEGMENT, mirroredFrame, PeerIngress } from "./peer-ingress.ts";
import type { StreamSettings } from "./stream-port.ts";
import { SwitchEngine } from "./switch-engine.ts";
import type { Gate, SwitchPort } from "./switch-port.ts";
import { SwitchTunnel } from "./switch-tunnel.ts";
import type { DatagramReceiver } from "./vxlan-endpoint.ts";
import { vxlanOverhead } from "./vxlan-header.ts";

/** How often what has expired is let go of. */
const TICK_MS = 1000;

/** One distributed switch's part on this host: the engine with its ports' sockets and its tunnels. */
export class HostSwitch {
  readonly key: string;
  readonly vniBase: number;
  /** Takes the tunnel endpoint's datagrams of this switch. */
  readonly receiveDatagram: DatagramReceiver;
  readonly #options: HostSwitchOptions;
  readonly engine: SwitchEngine;
  readonly #tunnel: SwitchTunnel;
  readonly #ports: HostPorts;
  readonly #macAgeingMs: number | undefined;
  readonly #uplinks: HostUplinks;
  readonly #ingress: PeerIngress;
  #limits: DataPlaneLimits = defaultLimits;
  /** Octets of the largest frame that goes through the tunnel. */
  #tunnelRoom = 0;
  #mirrorTargets: ReadonlyMap<number, string> = new Map();
  /** Lets go of what has expired. */
  readonly #ticking: NodeJS.Timeout;
  #mirrors: readonly MirrorSession[] = [];
  #accounting: FlowAccounting | undefined;

  constructor(options: HostSwitchOptions) {
    const { key, vniBase, macAgeingMs } = options.config;
    this.key = key;
    this.vniBase = vniBase;
    this.#options = options;
    this.#macAgeingMs = macAgeingMs;
    this.#tunnel = new SwitchTunnel({ vniBase, now: options.now, endpoint: options.endpoint });
    this.engine = new SwitchEngine({
      now: options.now,
      tunnel: this.#tunnel,
      mirrorSink: { mirror: (copy) => this.#mirror(copy) },
      ...(macAgeingMs === undefined ? {} : { macAgeingMs }),
    });
    const { memory, redialMs, redialLargestMs } = options;
    const stream: StreamSettings = {
      memory,
      ...(redialMs === undefined ? {} : { redialMs }),
      ...(redialLargestMs === undefined ? {} : { redialLargestMs }),
    };
    this.#ports = new HostPorts({
      switchKey: key,
      engine: this.engine,
      stream,
      limits: () => this.#limits,
      interfaces: options.interfaces,
      onLink: options.onLink,
      onRemoved: (statistics) => options.onRemoved?.(statistics),
      onRemove: (port) => this.#ingress.followed(port.assignedMac, () => this.engine.stationsBehind(port)),
    });
    this.#uplinks = new HostUplinks({
      switchKey: key,
      engine: this.engine,
      stream,
      limits: () => this.#limits,
      interfaces: options.interfaces,
      onLink: (status) => options.onUplink?.(status),
      control: options.control,
    });
    this.#ingress = new PeerIngress({
      switchKey: key,
      now: options.now,
      engine: this.engine,
      tunnel: this.#tunnel,
      control: options.control,
      mirrorTarget: (session) => this.#ports.find(this.#mirrorTargets.get(session) ?? ""),
    });
    this.#ticking = setInterval(() => {
      this.engine.tick();
      this.engine.flush();
    }, TICK_MS);
    this.#ticking.unref();
    this.receiveDatagram = (vni, datagram, source) => this.#tunnel.receive(this.#ingress, vni, datagram, source);
  }

  /** Whether `configure` can bring this switch to `config`; if not it must be made anew. */
  canBecome(config: DataPlaneSwitchConfig): boolean {
    return config.vniBase === this.vniBase && config.macAgeingMs === this.#macAgeingMs;
  }

  /** Bounds what it takes; queues of ports that are there keep what they had. */
  setLimits(limits: DataPlaneLimits): void {
    this.#limits = limits;
    const { learnedAddresses, strangersPerSecond, heldFrames: limitFrames, heldBytes: limitBytes } = limits;
    this.engine.setLimits({ learnedAddresses, strangersPerSecond, hold: { limitFrames, limitBytes } });
  }

  hasPort(key: string): boolean {
    return this.#ports.has(key);
  }

  /**
   * Removes the ports and uplinks that aren't in a configuration; the promises are of their sockets. From this instant frames for ports
   * that have moved on go after them.
   */
  removeExcept(
    keep: Pick<DataPlaneSwitchConfig, "ports" | "transport" | "uplinks" | "redirects" | "arrivals">,
  ): Promise<void>[] {
    this.#ingress.redirect(keep.redirects ?? [], keep.ports);
    this.#ingress.arrivals(keep.arrivals ?? []);
    return [...this.#uplinks.removeExcept(uplinksOf(keep)), ...this.#ports.removeExcept(keep.ports)];
  }

  /** Takes over MTU, peers and ports; those that are not in `config` were removed before. */
  async configure(
    config: DataPlaneSwitchConfig,
    underlay: { readonly mtu: number; readonly family: 4 | 6 },
  ): Promise<void> {
    this.engine.maxMtu = config.maxMtu ?? DEFAULT_MTU;
    const usesUplinks = config.transport === "uplinks";
    this.engine.usesUplinks = usesUplinks;
    const peers = usesUplinks ? [] : config.peers;
    for (const gone of this.#tunnel.configure(peers, underlay)) this.engine.removePeer(gone);
    for (const { key, refuses = [] } of peers) {
      for (const text of refuses) {
        const mac = parseMac(text);
        if (mac !== undefined) this.engine.forgetAtPeer(key, mac);
      }
    }
    this.#tunnelRoom = underlay.mtu - vxlanOverhead(underlay.family) + ETHERNET_HEADER_BYTES;
    this.#mirrorTargets = new Map(config.mirrorTargets?.map(({ session, portKey }) => [session, portKey]));
    const { snooping } = this.engine;
    snooping.enabled = config.multicast === "snooping";
    if (!snooping.enabled) snooping.clear();
    this.engine.directory.setPrivateVlans(config.privateVlans ?? []);
    if (!isDeepStrictEqual(config.mirrors ?? [], this.#mirrors)) {
      this.#mirrors = config.mirrors ?? [];
      this.engine.directory.setMirrors(this.#mirrors);
    }
    this.#accountFlows(config.flows);
    this.#uplinks.add(uplinksOf(config));
    await Promise.all(config.ports.map((port) => this.#ports.configure(port)));
    this.engine.flush();
  }

  /** Sends a frame of the switch's own to another host. False when it does not leave. */
  sendToPeer(peer: string, vlan: number, frame: Buffer): boolean {
    const record = recordOf(frame);
    return this.#tunnel.send(peer, vlan, { buffer: record, start: LENGTH_PREFIX_BYTES, end: record.length }) > 0;
  }

  /** Sends a frame of the switch's own, with its tag, out of an uplink. False when it does not leave. */
  sendByUplink(name: string, frame: Buffer): boolean {
    return this.#uplinks.send(name, frame);
  }

  /** The uplinks, and which ports use each of them now. */
  uplinkUses(): readonly UplinkUse[] {
    return this.#uplinks.uses();
  }

  /** What would become of an untagged frame that another host sent here, and why; without doing it. */
  explainFromPeer(peer: string, vlan: number, frame: Uint8Array): Explanation {
    const drop = frame.length < ETHERNET_HEADER_BYTES ? "runt" : this.#tunnel.refusal(peer, frame);
    if (drop === undefined) {
      const explanation = this.#ingress.explain(peer, vlan, frame);
      this.engine.flush();
      return explanation;
    }
    const step = { stage: "admission", text: `comes from host '${peer}' and is dropped`, drop } as const;
    return { verdict: "drop", reason: drop, ports: [], peers: [], steps: [step] };
  }

  /** Tells everybody that the port's address is here. */
  announce(key: string): void {
    this.engine.announce(this.port(key));
    this.engine.flush();
  }

  setGate(key: string, gate: Gate): { gate: Gate; held: number; moved: number } {
    const port = this.port(key);
    const held = port.held.size;
    this.#ports.setGate(key, gate);
    this.engine.flush();
    return { gate, held: port.held.size, moved: held - port.held.size };
  }

  release(key: string, count?: number): { gate: Gate; held: number; moved: number } {
    const port = this.port(key);
    const moved = this.engine.release(port, count);
    this.engine.flush();
    return { gate: port.gate, held: port.held.size, moved };
  }

  discard(key: string, count?: number): { gate: Gate; held: number; moved: number } {
    const port = this.port(key);
    const moved = this.engine.discard(port, count);
    return { gate: port.gate, held: port.held.size, moved };
  }

  flush(): void {
    this.engine.flush();
  }

  status(): DataPlaneSwitchStatus {
    const statistics = this.#uplinks.statistics();
    return {
      key: this.key,
      learnedAddresses: this.engine.learnedAddresses,
      peers: this.#tunnel.statistics(),
      uplinks: this.#uplinks.statuses().flatMap((status, index) => {
        const counted = statistics[index];
        return counted === undefined ? [] : [{ ...status, ...counted }];
      }),
    };
  }

  portStatuses(): DataPlanePortStatus[] {
    return this.#ports.statuses();
  }

  portStatistics(): DataPlanePortStatistics[] {
    return this.#ports.statistics();
  }

  async close(): Promise<void> {
    clearInterval(this.#ticking);
    this.engine.directory.flows?.drain();
    await Promise.all(this.removeExcept({ ports: [] }));
  }

  #mirror(copy: MirrorCopy): boolean {
    const { destination } = copy;
    if (destination.kind !== "peer") return this.#options.mirrorSink?.mirror(copy) ?? false;
    const frame = mirroredFrame(destination.session, copy, this.#tunnelRoom);
    return this.#tunnel.send(destination.peer, MIRROR_SEGMENT, frame) > 0;
  }

  #accountFlows(accounting: FlowAccounting | undefined): void {
    if (isDeepStrictEqual(accounting, this.#accounting)) return;
    this.#accounting = accounting;
    const { onFlows, epochMs } = this.#options;
    const { directory } = this.engine;
    directory.flows?.drain();
    const onRecords = (records: readonly FlowRecord[]): void => onFlows?.(this.key, records);
    directory.setFlows(accounting && new FlowTable({ ...accounting, epochMs, onRecords }));
  }

  /** The port of an uplink, by `<switch>/<name>`: to be captured, not configured. */
  uplink(key: string): SwitchPort | undefined {
    return this.#uplinks.port(key);
  }

  /** Throws a `RangeError` when there is none. */
  port(key: string): SwitchPort {
    return this.#ports.get(key);
  }
}

function uplinksOf({
  transport,
  uplinks = [],
}: Pick<DataPlaneSwitchConfig, "transport" | "uplinks">): readonly UplinkConfig[] {
  return transport === "uplinks" ? uplinks : [];
}
