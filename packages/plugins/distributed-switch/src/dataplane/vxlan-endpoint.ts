import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIP } from "node:net";
import { BatchedDatagrams } from "./batched-datagrams.ts";
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
  /**
   * Whether many datagrams may go with one system call, where this machine can: over IPv4, on 64-bit Linux with the optional library
   * `koffi`. Defaults to `true`.
   */
  readonly batching?: boolean;
  /** Finds who takes a VNI. */
  readonly receiver: (vni: number) => DatagramReceiver | undefined;
  /** Called after each batch of datagrams, before the memory of any of them is used again. */
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

/** How many batches are received before others get their turn. */
const BATCHES_IN_A_ROW = 4;

/**
 * A VXLAN tunnel endpoint: one UDP socket, which sends from the port it listens on, so that hosts on one machine can be told apart by
 * their ports. Datagrams are not fragmented or retransmitted; what doesn't fit the send queue is refused at once.
 */
export class VxlanEndpoint {
  readonly listen: UdpAddress;
  readonly #socket: Socket;
  readonly #options: VxlanEndpointOptions;
  readonly #sendQueueBytes: number;
  readonly #batched: BatchedDatagrams | undefined;
  readonly #drops: Record<DatagramDropReason, number> = { malformed: 0, unknownVni: 0, unknownPeer: 0 };
  #datagramsIn = 0;
  #datagramsOut = 0;
  #sendErrors = 0;
  #batchScheduled = false;
  /** Datagrams since the last turn of the event loop that Node.js has received. */
  #single = 0;
  #flushScheduled = false;
  /** Whether datagrams wait in Node.js for the kernel: others must not overtake them. */
  #waiting = false;
  #closed = false;
  readonly #flush = (): void => {
    this.#flushScheduled = false;
    // The descriptor of a closed socket may be another's by now.
    if (!this.#closed) this.#batched?.flush();
  };

  private constructor(socket: Socket, options: VxlanEndpointOptions, batched: BatchedDatagrams | undefined) {
    this.#socket = socket;
    this.#options = options;
    this.#batched = batched;
    this.#sendQueueBytes = options.sendQueueBytes ?? 1024 * 1024;
    const { address, port } = socket.address();
    this.listen = { address, port };
    socket.on("message", (datagram, source) => {
      this.#receive(datagram, source);
      this.#single += 1;
      // Where there is a second there are more: they come with one call, and Node.js then finds none.
      if (batched !== undefined && this.#single > 1) this.#receiveBatches(batched);
    });
    socket.on("error", () => {
      this.#sendErrors += 1;
    });
  }

  /** Binds the socket; port 0 takes a free one. Rejects with the system's error when the address is taken or not ours. */
  static async open(options: VxlanEndpointOptions): Promise<VxlanEndpoint> {
    let endpoint: VxlanEndpoint | undefined;
    const batched =
      options.batching === false
        ? undefined
        : BatchedDatagrams.open(options.listen, {
            onRefused: (datagram, to) => {
              if (endpoint !== undefined) endpoint.#sendLater(datagram, to);
            },
          });
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
      // Where the batched one couldn't be bound, this one fails with the system's error.
      if (batched === undefined) socket.bind(options.listen.port, options.listen.address);
      else socket.bind({ fd: batched.fd });
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
    endpoint = new VxlanEndpoint(socket, options, batched);
    return endpoint;
  }

  /**
   * Sends header and frame as one datagram, at the end of this turn of the event loop or before. False when too much waits already; the
   * datagram is then dropped.
   */
  send(header: Buffer, frame: Buffer, to: UdpAddress): boolean {
    if (this.#closed) return false;
    if (this.#waiting) this.#waiting = this.#socket.getSendQueueCount() > 0;
    if (!this.#waiting && this.#batched?.add(header, frame, to) === true) {
      if (!this.#flushScheduled) {
        this.#flushScheduled = true;
        process.nextTick(this.#flush);
      }
    } else {
      if (this.#socket.getSendQueueSize() + frame.length > this.#sendQueueBytes) return false;
      // What Node.js can't send at once it keeps, and the frame's memory is used again.
      this.#socket.send(Buffer.concat([header, frame]), to.port, to.address);
    }
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
    this.#batched?.flush();
    this.#closed = true;
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  /** Has Node.js send a datagram that the kernel didn't take in a batch. */
  #sendLater(datagram: Buffer, to: UdpAddress): void {
    if (this.#socket.getSendQueueSize() + datagram.length > this.#sendQueueBytes) this.#sendErrors += 1;
    else {
      this.#socket.send(Buffer.from(datagram), to.port, to.address);
      this.#waiting = true;
    }
  }

  #receiveBatches(batched: BatchedDatagrams): void {
    for (let batch = 0; batch < BATCHES_IN_A_ROW && !this.#closed; batch += 1) {
      const more = batched.receive((datagram, source) => this.#receive(datagram, source));
      this.#options.batchEnd();
      if (!more) return;
    }
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
        this.#single = 0;
        this.#options.batchEnd();
      });
    }
  }
}
