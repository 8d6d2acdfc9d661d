import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIP } from "node:net";
import { readVxlanVni } from "./vxlan-header.ts";

/** Where a host's data plane receives tunnelled frames. `address` is a literal IPv4 or IPv6 address. */
export interface UdpAddress {
  readonly address: string;
  readonly port: number;
}

/** Why a datagram was not even given to a switch. */
export type DatagramDropReason = "malformed" | "unknownVni" | "unknownPeer";

/** Takes the datagrams of one `vniBase`. Returns false when the source is none of its peers. */
export type DatagramReceiver = (vni: number, datagram: Buffer, source: UdpAddress) => boolean;

export interface VxlanEndpointOptions {
  readonly listen: UdpAddress;
  /** How many octets may wait in this process for the kernel. Defaults to 1 MiB. */
  readonly sendQueueBytes?: number;
  /** Finds who takes a VNI. */
  readonly receiver: (vni: number) => DatagramReceiver | undefined;
  /** Called once per turn of the event loop in which datagrams arrived, after the last of them. */
  readonly batchEnd: () => void;
}

/** What a VTEP did that belongs to no peer. */
export interface VxlanEndpointStatistics {
  readonly datagramsIn: number;
  readonly datagramsOut: number;
  readonly drops: Readonly<Record<DatagramDropReason, number>>;
  /** Sends that the kernel refused after they were queued. */
  readonly sendErrors: number;
}

/**
 * A VXLAN tunnel endpoint: one UDP socket, which sends from the port it listens on, so that hosts on one machine can be told apart by
 * their ports. Datagrams are not fragmented or retransmitted; what doesn't fit the send queue is refused at once.
 */
export class VxlanEndpoint {
  readonly listen: UdpAddress;
  readonly #socket: Socket;
  readonly #options: VxlanEndpointOptions;
  readonly #sendQueueBytes: number;
  readonly #drops: Record<DatagramDropReason, number> = { malformed: 0, unknownVni: 0, unknownPeer: 0 };
  #datagramsIn = 0;
  #datagramsOut = 0;
  #sendErrors = 0;
  #batchScheduled = false;
  #closed = false;

  private constructor(socket: Socket, options: VxlanEndpointOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#sendQueueBytes = options.sendQueueBytes ?? 1024 * 1024;
    const { address, port } = socket.address();
    this.listen = { address, port };
    socket.on("message", (datagram, source) => this.#receive(datagram, source));
    socket.on("error", () => {
      this.#sendErrors += 1;
    });
  }

  /** Binds the socket; port 0 takes a free one. Rejects with the system's error when the address is taken or not ours. */
  static async open(options: VxlanEndpointOptions): Promise<VxlanEndpoint> {
    const ipv6 = isIP(options.listen.address) === 6;
    const socket = createSocket({
      type: ipv6 ? "udp6" : "udp4",
      ipv6Only: ipv6,
      // Addresses are literals: answering at once keeps sends in order and off the resolver's thread pool.
      lookup: (address, _options, callback) => callback(null, address, isIP(address)),
    });
    try {
      // The lookup above answers at once, so the event can come before `bind` returns.
      const listening = once(socket, "listening");
      socket.bind(options.listen.port, options.listen.address);
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    try {
      socket.setRecvBufferSize(2 * 1024 * 1024);
      socket.setSendBufferSize(2 * 1024 * 1024);
    } catch {
      // The system's limits stand; a smaller buffer only drops earlier.
    }
    return new VxlanEndpoint(socket, options);
  }

  /** Sends header and frame as one datagram. False when too much waits already; the datagram is then dropped. */
  send(header: Buffer, frame: Buffer, to: UdpAddress): boolean {
    if (this.#closed || this.#socket.getSendQueueSize() + frame.length > this.#sendQueueBytes) return false;
    this.#socket.send([header, frame], to.port, to.address);
    this.#datagramsOut += 1;
    return true;
  }

  statistics(): VxlanEndpointStatistics {
    return {
      datagramsIn: this.#datagramsIn,
      datagramsOut: this.#datagramsOut,
      drops: { ...this.#drops },
      sendErrors: this.#sendErrors,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #receive(datagram: Buffer, source: UdpAddress): void {
    if (this.#closed) return;
    this.#datagramsIn += 1;
    const vni = readVxlanVni(datagram);
    if (vni === undefined) {
      this.#drops.malformed += 1;
      return;
    }
    const receiver = this.#options.receiver(vni);
    if (receiver === undefined) this.#drops.unknownVni += 1;
    else if (!receiver(vni, datagram, source)) this.#drops.unknownPeer += 1;
    else if (!this.#batchScheduled) {
      // The event loop reads up to 32 datagrams before it comes to immediates: they leave in one write per port.
      this.#batchScheduled = true;
      setImmediate(() => {
        this.#batchScheduled = false;
        this.#options.batchEnd();
      });
    }
  }
}
