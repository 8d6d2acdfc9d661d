import { VXLAN_HEADER_BYTES, vxlanHeader } from "../../dataplane/vxlan-header.ts";
import { erspanOverhead, erspanTypeII } from "../mirror/erspan-packet.ts";
import type { DatagramSender } from "./datagram-sender.ts";
import type { GreTransport } from "./gre-transport.ts";

/** Where a session's copies go, as the data plane has it. A port of this host is the data plane's own affair: nothing is sent there. */
export type RemoteMirrorDestination =
  | { readonly kind: "port"; readonly portKey: string }
  | { readonly kind: "erspan"; readonly address: string; readonly session: number }
  | { readonly kind: "vxlan"; readonly address: string; readonly port?: number | undefined; readonly vni: number };

/** A copy from the data plane, which chose, sampled and cut it. Only valid during the call. */
export interface RemoteMirrorCopy {
  /** The session's name. */
  readonly session: string;
  readonly destination: RemoteMirrorDestination;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Octets of the whole frame. */
  readonly originalLength: number;
  readonly vlan: number;
  /** Whether the copy carries its tag. */
  readonly tagged: boolean;
  readonly direction: "in" | "out";
}

export interface RemoteMirrorOptions {
  readonly sender: DatagramSender;
  /** How ERSPAN leaves this host; a text says why it can't. Asked for each copy. */
  readonly gre: () => GreTransport | string;
  /** The largest IP packet to the destinations; longer copies are cut. Defaults to `1500`. */
  readonly pathMtu?: number | undefined;
}

/** What a session did on this host. */
export interface RemoteMirrorStatus {
  readonly session: string;
  readonly copied: number;
  readonly octets: number;
  /** Copies that were cut to the path's MTU. */
  readonly cut: number;
  readonly dropped: number;
  /** Why copies are dropped, when the reason is known. */
  readonly reason?: string;
}

interface Session {
  copied: number;
  octets: number;
  cut: number;
  dropped: number;
  sequence: number;
  reason: string | undefined;
}

type VxlanDestination = Extract<RemoteMirrorDestination, { readonly kind: "vxlan" }>;
type ErspanDestination = Extract<RemoteMirrorDestination, { readonly kind: "erspan" }>;

const DEFAULT_VXLAN_PORT = 4789;
const UDP_BYTES = 8;

/**
 * Sends copies of frames to remote destinations: by VXLAN over UDP always, by ERSPAN of type II where GRE can leave. The data plane's
 * mirror sink. Never waits and queues only in the sender, which is bounded; a copy that isn't taken is dropped and counted.
 */
export class RemoteMirrorService {
  readonly #options: RemoteMirrorOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #headers = new Map<number, Buffer>();
  #running = false;

  constructor(options: RemoteMirrorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
  }

  /** Ends the sessions. The sender and the transport are their owner's to close. */
  stop(): void {
    this.#running = false;
    this.#sessions.clear();
    this.#headers.clear();
  }

  /** Forgets the sessions that are not among these names. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#sessions.keys()) if (!names.has(name)) this.#sessions.delete(name);
  }

  /** Takes a copy. False when it is dropped. */
  mirror(copy: RemoteMirrorCopy): boolean {
    if (!this.#running) return false;
    let session = this.#sessions.get(copy.session);
    if (session === undefined) {
      session = { copied: 0, octets: 0, cut: 0, dropped: 0, sequence: 0, reason: undefined };
      this.#sessions.set(copy.session, session);
    }
    const sent = this.#send(copy, session);
    if (sent) session.copied += 1;
    else session.dropped += 1;
    return sent;
  }

  status(): RemoteMirrorStatus[] {
    return [...this.#sessions].map(([name, { copied, octets, cut, dropped, reason }]) => ({
      ...{ session: name, copied, octets, cut, dropped },
      ...(reason === undefined ? {} : { reason }),
    }));
  }

  #send(copy: RemoteMirrorCopy, session: Session): boolean {
    const { destination } = copy;
    if (destination.kind === "vxlan") return this.#vxlan(copy, destination, session);
    return destination.kind === "erspan" && this.#erspan(copy, destination, session);
  }

  #vxlan(copy: RemoteMirrorCopy, to: VxlanDestination, session: Session): boolean {
    const bytes = this.#fit(copy, session, { to: to.address, overhead: UDP_BYTES + VXLAN_HEADER_BYTES });
    let header = this.#headers.get(to.vni);
    if (header === undefined) {
      header = vxlanHeader(to.vni);
      this.#headers.set(to.vni, header);
    }
    const target = { address: to.address, port: to.port ?? DEFAULT_VXLAN_PORT };
    const sent = this.#options.sender.send([header, bytes], target);
    session.reason = sent ? undefined : "the socket's queue is full, or the address is none";
    return sent;
  }

  #erspan(copy: RemoteMirrorCopy, to: ErspanDestination, session: Session): boolean {
    const gre = this.#options.gre();
    if (typeof gre === "string") {
      session.reason = gre;
      return false;
    }
    const bytes = this.#fit(copy, session, { to: to.address, overhead: erspanOverhead(2) });
    // The tag's priority, when there is a tag.
    const priority = copy.tagged && bytes.length >= 16 ? bytes.readUInt8(14) >>> 5 : 0;
    const { vlan, tagged, direction, originalLength } = copy;
    session.sequence = (session.sequence + 1) % 2 ** 32;
    const packet = erspanTypeII(bytes, {
      ...{ session: to.session, sequence: session.sequence, vlan, tagged, priority, direction },
      truncated: bytes.length < originalLength,
    });
    const sent = gre.send(packet, to.address);
    session.reason = sent
      ? undefined
      : "the kernel doesn't take the packet: there is no way to the destination, or no room";
    return sent;
  }

  /** As much of the copy as fits a packet to the destination. */
  #fit(
    { buffer, start, end }: RemoteMirrorCopy,
    session: Session,
    { to, overhead }: { readonly to: string; readonly overhead: number },
  ): Buffer {
    const room = (this.#options.pathMtu ?? 1500) - (to.includes(":") ? 40 : 20) - overhead;
    const fits = Math.min(end - start, room);
    if (fits < end - start) session.cut += 1;
    session.octets += fits;
    return buffer.subarray(start, start + fits);
  }
}
