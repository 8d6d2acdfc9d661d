import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { DataPlane } from "../dataplane/control.ts";
import type { FlowRecord } from "../dataplane/flow-table.ts";
import type { MacAddress } from "../dataplane/mac-address.ts";
import type { MirrorCopy, MirrorSink } from "../dataplane/mirror-session.ts";
import type { ControlFrame, ControlFrames } from "../dataplane/peer-ingress.ts";
import { PathProber, type ProbeResult, type ProbeTarget } from "../wire/probe/path-prober.ts";
import { ETHERTYPE_PROBE, encodeProbe, decodeProbe, probeMac } from "../wire/probe/probe-frame.ts";
import { UdpSender } from "../wire/services/datagram-sender.ts";
import { DiscoveryAgent, type DiscoveredNeighbour } from "../wire/services/discovery-agent.ts";
import { type GreTransport, openGre } from "../wire/services/gre-transport.ts";
import { FlowExportService } from "../wire/services/flow-export-service.ts";
import { RemoteMirrorService, type RemoteMirrorCopy } from "../wire/services/remote-mirror-service.ts";
import { systemClock } from "../wire/wire-clock.ts";
import type { HostSwitchPart } from "./host-config.ts";

const lldpEtherType = 0x88cc;
const lldpAddress: MacAddress = 0x0180_c200_000e;

/** What a switch on this host has besides its data plane. */
interface SwitchServices {
  part: HostSwitchPart;
  readonly prober: PathProber;
  flows: FlowExportService | undefined;
  discovery: DiscoveryAgent | undefined;
}

/** Options of {@link HostServices}. */
export interface HostServicesOptions {
  readonly plane: () => DataPlane;
  /** Opens the way of ERSPAN, or says why there is none. Defaults to the kernel's raw sockets. */
  readonly openGre?: (() => GreTransport | string) | undefined;
}

/** Services around a host's data plane: flow export, remote mirrors, link layer discovery, and the probes of the health check. */
export class HostServices {
  /** For the data plane. */
  readonly control: ControlFrames;
  readonly mirrorSink: MirrorSink;
  readonly #plane: () => DataPlane;
  readonly #switches = new Map<string, SwitchServices>();
  /** Addresses that this host's probes come to. */
  readonly #probeMacs = new Set<MacAddress>();
  readonly #sender = new UdpSender();
  readonly #mirrors: RemoteMirrorService;
  readonly #openGre: () => GreTransport | string;
  /** How ERSPAN leaves; opened when the first session needs it, and a text while it can't be. */
  #gre: GreTransport | string = "no session needs it";

  constructor(options: HostServicesOptions) {
    this.#plane = options.plane;
    this.#openGre = options.openGre ?? openGre;
    this.#mirrors = new RemoteMirrorService({ sender: this.#sender, gre: () => this.#gre });
    this.#mirrors.start();
    this.mirrorSink = { mirror: (copy) => this.#mirror(copy) };
    this.control = {
      isControl: (destination, etherType) =>
        (etherType === ETHERTYPE_PROBE && this.#probeMacs.has(destination)) ||
        (etherType === lldpEtherType && destination === lldpAddress),
      receive: (frame) => this.#receive(frame),
    };
  }

  /** Takes over what the switches of this host should be. */
  configure(parts: readonly HostSwitchPart[]): void {
    const wanted = new Map(parts.map((part) => [part.key, part]));
    for (const [key, services] of this.#switches) {
      if (wanted.has(key)) continue;
      this.#switches.delete(key);
      services.flows?.stop();
      services.discovery?.stop();
    }
    for (const part of parts) this.#configure(part);
    this.#probeMacs.clear();
    for (const { part } of this.#switches.values()) this.#probeMacs.add(probeMac(part.host));
    this.#mirrors.keep(new Set(parts.flatMap(({ mirrors }) => mirrors.map(({ name }) => name))));
    this.#configureGre(parts.some(({ mirrors }) => mirrors.some(isErspan)));
  }

  /** What a switch's part asks of this host, and the host can't do: one sentence each. */
  findings(switchKey: string): readonly string[] {
    const gre = this.#gre;
    const sessions = this.#switches.get(switchKey)?.part.mirrors.filter(isErspan) ?? [];
    return typeof gre === "string" ? sessions.map(({ name }) => `mirror session '${name}' copies nothing: ${gre}`) : [];
  }

  /** Takes flows that the data plane has accounted. */
  takeFlows(switchKey: string, records: readonly FlowRecord[]): void {
    const services = this.#switches.get(switchKey);
    if (services?.flows === undefined) return;
    const names = new Map(services.part.ports.map((port) => [`${port.id}.${port.attachment}`, port.portKey]));
    services.flows.take(records.map((record) => ({ ...record, portKey: names.get(record.portKey) ?? record.portKey })));
  }

  neighbours(switchKey: string): readonly DiscoveredNeighbour[] {
    return this.#switches.get(switchKey)?.discovery?.neighbours() ?? [];
  }

  /** Tries ways from this host to others, with real frames. */
  async probe(
    switchKey: string,
    targets: readonly ProbeTarget[],
    signal: AbortSignal,
  ): Promise<readonly ProbeResult[]> {
    const services = this.#switches.get(switchKey);
    return services === undefined ? [] : services.prober.run(targets, { signal });
  }

  async close(): Promise<void> {
    this.configure([]);
    this.#mirrors.stop();
    await this.#sender.close();
  }

  /** Tries again at each configuration: rights can be given later. */
  #configureGre(needed: boolean): void {
    if (needed && typeof this.#gre === "string") this.#gre = this.#openGre();
    if (needed || typeof this.#gre === "string") return;
    this.#gre.close();
    this.#gre = "no session needs it";
  }

  #configure(part: HostSwitchPart): void {
    const { key } = part;
    let services = this.#switches.get(key);
    const before = services?.part;
    if (services === undefined) {
      const prober = new PathProber({
        member: part.host,
        clock: systemClock,
        randomBytes,
        send: (frame, way) => this.#sendProbe(key, frame, way),
        attempts: 2,
        timeoutMs: 700,
      });
      services = { part, prober, flows: undefined, discovery: undefined };
      this.#switches.set(key, services);
    }
    services.part = part;
    if (!isDeepStrictEqual(before?.flowExport, part.flowExport)) {
      services.flows?.stop();
      services.flows = part.flowExport === undefined ? undefined : this.#exporter(part.flowExport);
    }
    const sameDiscovery = before?.discovery === part.discovery && isDeepStrictEqual(before?.uplinks, part.uplinks);
    if (!sameDiscovery) {
      services.discovery?.stop();
      services.discovery = part.discovery === undefined ? undefined : this.#discovery(part, part.discovery);
    }
  }

  #exporter(setting: NonNullable<HostSwitchPart["flowExport"]>): FlowExportService {
    const service = new FlowExportService({
      setting,
      sender: this.#sender,
      clock: systemClock,
      unixNow: () => Date.now(),
    });
    service.start();
    return service;
  }

  #discovery(part: HostSwitchPart, operation: "listen" | "advertise" | "both"): DiscoveryAgent {
    const agent = new DiscoveryAgent({
      operation,
      host: part.host,
      switchName: part.name,
      mtu: part.mtu,
      clock: systemClock,
      transmit: (uplink, frame) => void this.#plane().sendControl(part.key, { uplink }, frame),
    });
    agent.configure(part.uplinks.map(({ name }) => ({ name, macAddress: probeMac(`${part.host} ${name}`) })));
    agent.start();
    return agent;
  }

  #receive({ switch: key, from, frame, vlan }: ControlFrame): void {
    const services = this.#switches.get(key);
    if (services === undefined) return;
    if (frame.readUInt16BE(12) !== lldpEtherType) {
      services.prober.receive(frame, from.kind === "uplink" ? { uplink: from.name } : {});
      return;
    }
    // Discovery is between neighbours on the wire: tagged, or through a tunnel, it is somebody else's.
    if (from.kind === "uplink" && vlan === 0) services.discovery?.receive(from.name, frame);
  }

  #sendProbe(
    key: string,
    frame: Buffer,
    { to, vlan, uplink }: { readonly to: string; readonly vlan: number; readonly uplink?: string | undefined },
  ): string | undefined {
    if (uplink === undefined) return this.#plane().sendControl(key, { peer: to, vlan }, frame);
    const tagged = vlan === 0 ? frame : encodeProbe(decodeProbe(frame), { tagged: true });
    return this.#plane().sendControl(key, { uplink }, tagged);
  }

  #mirror(copy: MirrorCopy): boolean {
    return copy.destination.kind === "peer" ? false : this.#mirrors.mirror(copy as RemoteMirrorCopy);
  }
}

function isErspan({ destination }: HostSwitchPart["mirrors"][number]): boolean {
  return destination.kind === "erspan";
}
