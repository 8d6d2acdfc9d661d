import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
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

export interface PeerIngressOptions {
  readonly switchKey: string;
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
  #redirects: ReadonlyMap<MacAddress, string> | undefined;
  /** The stations behind ports that have moved, by the port's address. */
  #behind: ReadonlyMap<MacAddress, readonly MacAddress[]> = new Map();

  constructor(options: PeerIngressOptions) {
    this.#options = options;
  }

  set redirects(redirects: readonly Redirect[]) {
    const byPort = new Map(
      redirects.flatMap(({ mac, peer }): [MacAddress, string][] => {
        const address = parseMac(mac);
        return address === undefined ? [] : [[address, peer]];
      }),
    );
    this.#behind = new Map([...this.#behind].filter(([port]) => byPort.has(port)));
    this.#follow(byPort);
  }

  /** A port is about to go. If it has moved on, what comes for the stations behind it goes after them too. */
  followed(mac: MacAddress, stations: () => readonly MacAddress[]): void {
    const redirects = this.#redirects;
    if (redirects?.has(mac) !== true) return;
    this.#behind = new Map([...this.#behind, [mac, stations()]]);
    this.#follow(redirects);
  }

  #follow(byPort: ReadonlyMap<MacAddress, string>): void {
    const all = new Map(byPort);
    for (const [port, stations] of this.#behind) {
      const peer = byPort.get(port);
      if (peer !== undefined) for (const station of stations) all.set(station, peer);
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
      const target = this.#redirects.get(readMac(buffer, start));
      // Never back to where it came from: a move that was overtaken by the next one must not make a loop.
      if (target !== undefined && target !== peer) {
        return tunnel.send(target, vlan, { buffer, start, end }) > 0 ? undefined : "noDestination";
      }
    }
    return engine.receiveFromPeer(peer, vlan, buffer, start, end);
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
