import type { FrameInFlight } from "./frame-in-flight.ts";
import type { SwitchPort } from "./switch-port.ts";

/** Where the copies of a mirror session go: a port of this host, or a remote collector. */
export type MirrorDestination =
  | { readonly kind: "port"; readonly portKey: string }
  /** A port of another host of the switch; `session` is the session's number, the same on all hosts. */
  | { readonly kind: "peer"; readonly peer: string; readonly session: number }
  | { readonly kind: "erspan"; readonly address: string; readonly session: number }
  | { readonly kind: "vxlan"; readonly address: string; readonly port?: number | undefined; readonly vni: number };

/**
 * A mirror session. A frame is copied at most once per session, however many of its ports it passes. `in` is what the VM sends: all that
 * the port may send, before filters and shaping; `out` is what is delivered to the VM, after them.
 */
export interface MirrorSession {
  readonly name: string;
  /** Keys of ports. Those that aren't on this host are another host's affair. */
  readonly sourcePorts: readonly string[];
  readonly direction: "in" | "out" | "both";
  /** How many octets of each frame are copied. All when absent. */
  readonly snapLength?: number | undefined;
  /** One of so many frames is copied, counted per session. Each when absent. */
  readonly samplingRate?: number | undefined;
  readonly destination: MirrorDestination;
}

/** A copy for a remote destination, in the form that the frame had at the port. Only valid during the call. */
export interface MirrorCopy {
  readonly session: string;
  readonly destination: MirrorDestination;
  /** The copy is `buffer[start, end)`, the first `snapLength` octets of the frame. Not to be changed. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Octets of the whole frame. */
  readonly originalLength: number;
  /** The VLAN in which the frame travels, and whether the copy carries its tag. */
  readonly vlan: number;
  readonly tagged: boolean;
  readonly direction: "in" | "out";
}

/** Takes copies to remote destinations. Returns whether it took the copy; congestion drops it. */
export interface MirrorSink {
  mirror(copy: MirrorCopy): boolean;
}

/** What a session did. `frames` are those selected; `copied + sampledOut + dropped` is their number. */
export interface MirrorStatistics {
  readonly session: string;
  readonly frames: number;
  readonly copied: number;
  readonly sampledOut: number;
  /** Copies that the destination didn't take, or that had no destination on this host. */
  readonly dropped: number;
}

/** Sends a copy out of a port of this host. False when it is dropped. */
export type CopyToPort = (port: SwitchPort, frame: FrameInFlight, snapLength: number) => boolean;

/** A session at work. */
export class MirrorPoint {
  readonly session: MirrorSession;
  /** The destination, when it is a port of this host. */
  target: SwitchPort | undefined;
  /** Frames that passed since the last that was copied. */
  sampled = 0;
  readonly #copyToPort: CopyToPort;
  readonly #sink: MirrorSink | undefined;
  #lastFrame = -1;
  #frames = 0;
  #copied = 0;
  #sampledOut = 0;

  constructor(session: MirrorSession, copyToPort: CopyToPort, sink: MirrorSink | undefined) {
    this.session = session;
    this.#copyToPort = copyToPort;
    this.#sink = sink;
  }

  copy(frame: FrameInFlight, direction: "in" | "out"): void {
    if (frame.sequence === this.#lastFrame) return;
    this.#lastFrame = frame.sequence;
    this.#frames += 1;
    const rate = this.session.samplingRate ?? 1;
    this.sampled += 1;
    if (this.sampled < rate) {
      this.#sampledOut += 1;
      return;
    }
    this.sampled = 0;
    if (this.#send(frame, direction)) this.#copied += 1;
  }

  statistics(): MirrorStatistics {
    return {
      session: this.session.name,
      frames: this.#frames,
      copied: this.#copied,
      sampledOut: this.#sampledOut,
      dropped: this.#frames - this.#copied - this.#sampledOut,
    };
  }

  #send(frame: FrameInFlight, direction: "in" | "out"): boolean {
    const { name, destination, snapLength = Number.POSITIVE_INFINITY } = this.session;
    if (this.target !== undefined) return this.#copyToPort(this.target, frame, snapLength);
    if (destination.kind === "port" || this.#sink === undefined) return false;
    const { buffer, start, end, vlan, tagged } = frame;
    return this.#sink.mirror({
      session: name,
      destination,
      buffer,
      start,
      end: Math.min(end, start + snapLength),
      originalLength: end - start,
      vlan,
      tagged,
      direction,
    });
  }
}
