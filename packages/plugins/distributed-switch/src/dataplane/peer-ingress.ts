import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { Explanation } from "./explanation.ts";
import { type MacAddress, parseMac, readMac } from "./mac-address.ts";
import type { SwitchEngine } from "./switch-engine.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import type { FrameBytes, TunnelSink } from "./tunnel-sink.ts";

/** The number beside the VLANs in which copies of mirrored frames travel between hosts. 802.1Q reserves it. */
export const MIRROR_SEGMENT = 4095;

/** A frame that is the switch's own, and no VM's: a probe, or link layer discovery. */
export interface ControlFrame {
  readonly switch: string;
  readonly from: { readonly kind: "peer" | "uplink"; readonly name: string };
  /** A copy, without a tag. */
  readonly frame: Buffer;
  /** 0 for none. */
  readonly vlan: number;
}

/** Whoever wants the switch's own frames. */
export interface ControlFrames {
  /** Whether a frame is one, by its destination and what it carries. Called for each frame from elsewhere, so it must be cheap. */
  isControl(destination: MacAddress, etherType: number): boolean;
  receive(frame: ControlFrame): void;
}

/** An address whose port has moved to another host just now. */
export interface Redirect {
  readonly mac: string;
  readonly peer: string;
}

/** Where frames for an address go that is not here any more, and until when. */
interface Way {
  readonly peer: string;
  readonly until: number;
}

/** How long a port is followed after its move has ended. */
const GRACE_MS = 3_000;

export interface PeerIngressOptions {
  readonly switchKey: string;
  readonly now: () => number;
  readonly engine: SwitchEngine;
  readonly tunnel: TunnelSink;
  readonly control?: ControlFrames | undefined;
  /** The port of this host that the copies of a session go to, by the session's number. */
  readonly mirrorTarget: (session: number) => SwitchPort | undefined;
}

/**
 * Takes what comes from other hosts, before the engine does: copies of mirrored frames, the switch's own frames, and frames for ports that have
 * moved on, which are sent after them. All else is the engine's.
 */
export class PeerIngress {
  readonly #options: PeerIngressOptions;
  /** Hosts that pass on frames for ports that came here from them, and until when. */
  #detours: ReadonlyMap<string, number> | undefined;
  /** By the address that a frame is for. */
  #redirects: ReadonlyMap<MacAddress, Way> | undefined;
  /** By the address of the port that has moved. */
  #moved: ReadonlyMap<MacAddress, Way> = new Map();
  /** The stations behind ports that have moved, by the port's address. */
  #behind: ReadonlyMap<MacAddress, readonly MacAddress[]> = new Map();

  constructor(options: PeerIngressOptions) {
    this.#options = options;
  }

  /**
   * Takes over which ports have moved. One that is not named any more is followed for a little longer, for a host that is late with its
   * frames, unless it is one of `own` again.
   */
  redirect(
    redirects: readonly Redirect[],
    own: readonly { readonly settings: { readonly macAddress: string } }[],
  ): void {
    if (redirects.length === 0 && this.#moved.size === 0) return;
    const now = this.#options.now();
    const back = new Set(own.map(({ settings }) => parseMac(settings.macAddress)));
    const moved = new Map<MacAddress, Way>();
    for (const [mac, { peer, until }] of this.#moved) {
      if (until > now && !back.has(mac)) moved.set(mac, { peer, until: Math.min(until, now + GRACE_MS) });
    }
    for (const { mac, peer } of redirects) {
      const address = parseMac(mac);
      if (address !== undefined) moved.set(address, { peer, until: Number.POSITIVE_INFINITY });
    }
    this.#moved = moved;
    this.#behind = new Map([...this.#behind].filter(([port]) => moved.has(port)));
    this.#follow();
  }

  /**
   * Takes over from which hosts ports have come just now: they pass on what still comes to them, and who sent it is not where they are. A host
   * that is not named any more is distrusted a little longer.
   */
  arrivals(peers: readonly string[]): void {
    if (peers.length === 0 && this.#detours === undefined) return;
    const now = this.#options.now();
    const detours = new Map<string, number>();
    for (const [peer, until] of this.#detours ?? [])
      if (until > now) detours.set(peer, Math.min(until, now + GRACE_MS));
    for (const peer of peers) detours.set(peer, Number.POSITIVE_INFINITY);
    this.#detours = detours.size === 0 ? undefined : detours;
  }

  /** A port is about to go. If it has moved on, what comes for the stations behind it goes after them too. */
  followed(mac: MacAddress, stations: () => readonly MacAddress[]): void {
    if (!this.#moved.has(mac)) return;
    this.#behind = new Map([...this.#behind, [mac, stations()]]);
    this.#follow();
  }

  #follow(): void {
    const all = new Map(this.#moved);
    for (const [port, stations] of this.#behind) {
      const way = this.#moved.get(port);
      if (way !== undefined) for (const station of stations) all.set(station, way);
    }
    this.#redirects = all.size === 0 ? undefined : all;
  }

  receiveFromPeer(peer: string, vlan: number, buffer: Buffer, start: number, end: number): InDropReason | undefined {
    if (vlan === MIRROR_SEGMENT) return this.#mirrored(buffer, start, end);
    const { control, switchKey, engine, tunnel } = this.#options;
    const isFrame = end - start >= 14;
    if (isFrame && control?.isControl(readMac(buffer, start), buffer.readUInt16BE(start + 12)) === true) {
      const frame = Buffer.from(buffer.subarray(start, end));
      control.receive({ switch: switchKey, from: { kind: "peer", name: peer }, frame, vlan });
      return undefined;
    }
    if (this.#redirects !== undefined && isFrame) {
      const way = this.#redirects.get(readMac(buffer, start));
      // Never back to where it came from: a move that was overtaken by the next one must not make a loop.
      if (way !== undefined && way.peer !== peer && way.until > this.#options.now()) {
        return tunnel.send(way.peer, vlan, { buffer, start, end }) > 0 ? undefined : "noDestination";
      }
    }
    return engine.receiveFromPeer(peer, vlan, buffer, start, end, this.#detours !== undefined && this.#isDetour(peer));
  }

  /** What `receiveFromPeer` would do with a frame now, without doing it. */
  explain(peer: string, vlan: number, frame: Uint8Array): Explanation {
    const mac = frame.length < 14 ? undefined : readMac(Buffer.from(frame), 0);
    const way = mac === undefined ? undefined : this.#redirects?.get(mac);
    if (way === undefined || way.peer === peer || way.until <= this.#options.now()) {
      return this.#options.engine.explainer.fromPeer(peer, vlan, frame);
    }
    const text = `its port has moved, so it is sent after it, to host '${way.peer}'`;
    return {
      verdict: "forward",
      vlan,
      ports: [],
      peers: [way.peer],
      onward: Buffer.from(frame),
      steps: [{ stage: "forwarding", text }],
    };
  }

  #isDetour(peer: string): boolean {
    const until = this.#detours?.get(peer);
    return until !== undefined && until > this.#options.now();
  }

  /** A copy is the frame behind the number of its session. */
  #mirrored(buffer: Buffer, start: number, end: number): InDropReason | undefined {
    const target = end - start < 2 + 14 ? undefined : this.#options.mirrorTarget(buffer.readUInt16BE(start));
    // For whoever takes no copies, it is a VLAN that there is not.
    if (target === undefined) return "vlanNotAllowed";
    const record = recordOf(buffer.subarray(start + 2, end));
    return this.#options.engine.receiveMirrored(target, record, LENGTH_PREFIX_BYTES, record.length);
  }
}

/** A copy of a mirrored frame for another host, cut to `room` octets. */
export function mirroredFrame(session: number, copy: FrameBytes, room: number): FrameBytes {
  const length = Math.min(copy.end - copy.start, room - 2);
  const bytes = Buffer.allocUnsafe(2 + length);
  bytes.writeUInt16BE(session);
  copy.buffer.copy(bytes, 2, copy.start, copy.start + length);
  const record = recordOf(bytes);
  return { buffer: record, start: LENGTH_PREFIX_BYTES, end: record.length };
}
