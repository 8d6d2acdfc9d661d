import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** The far end of a tunnel: sends datagrams, and counts those that come. */
export class UdpPeer implements Disposable {
  readonly port: number;
  readonly #socket: Socket;
  #datagrams = 0;
  #wanted = 0;
  #reached: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on("message", () => {
      this.#datagrams += 1;
      if (this.#datagrams < this.#wanted) return;
      this.#reached?.();
      this.#reached = undefined;
    });
  }

  static async bind(): Promise<UdpPeer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    socket.setRecvBufferSize(2 * 1024 * 1024);
    return new UdpPeer(socket);
  }

  send(datagram: Buffer, port: number, count: number): void {
    for (let sent = 0; sent < count; sent++) this.#socket.send(datagram, port, "127.0.0.1");
  }

  /** Resolves when `datagrams` more have come; rejects after ten seconds. */
  receive(datagrams: number): Promise<void> {
    this.#datagrams = 0;
    this.#wanted = datagrams;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#datagrams} of ${datagrams} datagrams came`)), 10_000);
      this.#reached = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
