import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { FrameSplitter } from "../../src/dataplane/frame-splitter.ts";
import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { NetworkNamespace } from "./network-namespace.ts";

export interface TapStationOptions {
  /** The Unix socket on which it listens, as QEMU does for a NIC. */
  readonly path: string;
  readonly macAddress: string;
  /** With its prefix length. */
  readonly address: string;
  readonly mtu: number;
}

/** A host with the Linux kernel's network stack behind a switch port: a namespace with a tap that is joined to a stream socket. */
export class TapStation implements AsyncDisposable {
  readonly namespace: NetworkNamespace;
  readonly #tap: TapDevice;
  readonly #server: Server;
  #socket: Socket | undefined;

  private constructor(namespace: NetworkNamespace) {
    this.namespace = namespace;
    let pending: Buffer[] = [];
    this.#tap = TapDevice.open({
      name: "vdcs%d",
      onFrame: (buffer, start, end) => pending.push(buffer.subarray(start - 4, end)),
      onBatchEnd: () => {
        const records = pending;
        pending = [];
        // What a hanging switch doesn't take is lost, as on a real NIC.
        if ((this.#socket?.writableLength ?? 0) < 1024 * 1024) this.#socket?.write(Buffer.concat(records));
      },
    });
    this.#server = createServer((socket) => {
      this.#socket = socket;
      const splitter = new FrameSplitter({
        onFrame: (buffer, start, end) => this.#tap.deliver(buffer, start, end),
        onTooLong: () => undefined,
      });
      socket.on("data", (chunk: Buffer) => splitter.push(chunk));
      socket.on("error", () => undefined);
    });
  }

  static async open({ path, macAddress, address, mtu }: TapStationOptions): Promise<TapStation> {
    const namespace = new NetworkNamespace();
    try {
      const station = new TapStation(namespace);
      const { name } = station.#tap;
      namespace.take(name);
      namespace.withoutOffloads(name);
      namespace.ip(`link set ${name} mtu ${mtu} address ${macAddress}`);
      namespace.ip(`addr add ${address} dev ${name}`);
      namespace.ip(`link set ${name} up`);
      station.#server.listen(path);
      await once(station.#server, "listening");
      return station;
    } catch (error) {
      namespace[Symbol.dispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    this.#tap.close();
    this.namespace[Symbol.dispose]();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
