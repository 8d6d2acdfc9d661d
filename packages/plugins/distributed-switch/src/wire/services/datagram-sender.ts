import { createSocket, type Socket } from "node:dgram";
import { isIP } from "node:net";

/** Where datagrams go. `address` is a literal. */
export interface DatagramTarget {
  readonly address: string;
  readonly port: number;
}

/** Sends datagrams, and never waits. */
export interface DatagramSender {
  /** False when too much waits, or nothing can be sent to such an address; the datagram is then lost. The parts are the caller's again at once. */
  send(parts: readonly Uint8Array[], target: DatagramTarget): boolean;
  /** Datagrams that the system refused after they were taken, such as for want of a route. */
  readonly failed: number;
  /** The last such refusal. */
  readonly failure: string | undefined;
  close(): Promise<void>;
}

export interface UdpSenderOptions {
  /** How many octets may wait in this process for the kernel. Defaults to 1 MiB. */
  readonly queueBytes?: number | undefined;
}

/** Sends over UDP from a port that the system chose; one socket for each address family, opened when it is first needed. */
export class UdpSender implements DatagramSender {
  readonly #queueBytes: number;
  readonly #sockets = new Map<4 | 6, Socket>();
  #closed = false;
  #failed = 0;
  #failure: string | undefined;

  constructor({ queueBytes = 1024 * 1024 }: UdpSenderOptions = {}) {
    this.#queueBytes = queueBytes;
  }

  get failed(): number {
    return this.#failed;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  send(parts: readonly Uint8Array[], { address, port }: DatagramTarget): boolean {
    const family = isIP(address);
    if (this.#closed || (family !== 4 && family !== 6)) return false;
    const socket = this.#socket(family);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (socket.getSendQueueSize() + length > this.#queueBytes) return false;
    socket.send(Buffer.concat(parts), port, address, (error) => {
      if (error === null) return;
      this.#failed += 1;
      this.#failure = error.message;
    });
    return true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const sockets = [...this.#sockets.values()];
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  #socket(family: 4 | 6): Socket {
    let socket = this.#sockets.get(family);
    if (socket === undefined) {
      socket = createSocket({
        type: family === 6 ? "udp6" : "udp4",
        // Addresses are literals: answering at once keeps sends in order and off the resolver's thread pool.
        lookup: (address, _options, callback) => callback(null, address, isIP(address)),
      });
      socket.on("error", (error) => {
        this.#failed += 1;
        this.#failure = error.message;
      });
      // Sending alone must not keep the process alive.
      socket.unref();
      this.#sockets.set(family, socket);
    }
    return socket;
  }
}
