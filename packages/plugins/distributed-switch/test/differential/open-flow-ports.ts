import { once } from "node:events";
import { createConnection, type Socket } from "node:net";

const HEADER_BYTES = 8;
const VERSION_1_0 = 1;
const HELLO = 0;
const ERROR = 1;
const ECHO_REQUEST = 2;
const ECHO_REPLY = 3;
const PORT_MOD = 15;
const BARRIER_REQUEST = 18;
const BARRIER_REPLY = 19;

/** `OFPPC_NO_RECV | OFPPC_NO_FWD`: drop all that comes in, and all that would leave (OpenFlow 1.0, 5.2.1). */
const BLOCKED = (1 << 2) | (1 << 5);

export interface OpenFlowPort {
  readonly number: number;
  readonly macAddress: string;
}

/** As much of OpenFlow 1.0 as it takes to block a bridge's ports. */
export class OpenFlowPorts implements Disposable {
  readonly #socket: Socket;
  readonly #barriers = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #nextXid = 1;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#data(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#fail(new Error("the bridge hung up")));
    this.#send(HELLO, Buffer.alloc(0));
  }

  static async connect(path: string): Promise<OpenFlowPorts> {
    const socket = createConnection(path);
    await once(socket, "connect");
    return new OpenFlowPorts(socket);
  }

  /** Blocks or unblocks ports. Resolves when the bridge has it; its forwarding may follow in the next turn of its main loop. */
  block(ports: readonly { readonly port: OpenFlowPort; readonly blocked: boolean }[]): Promise<void> {
    for (const { port, blocked } of ports) {
      const body = Buffer.alloc(24);
      body.writeUInt16BE(port.number, 0);
      body.write(port.macAddress.replaceAll(":", ""), 2, "hex");
      body.writeUInt32BE(blocked ? BLOCKED : 0, 8);
      body.writeUInt32BE(BLOCKED, 12);
      this.#send(PORT_MOD, body);
    }
    return new Promise((resolve, reject) => {
      this.#barriers.set(this.#send(BARRIER_REQUEST, Buffer.alloc(0)), { resolve, reject });
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #send(type: number, body: Buffer, xid: number = this.#nextXid++): number {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(VERSION_1_0, 0);
    header.writeUInt8(type, 1);
    header.writeUInt16BE(HEADER_BYTES + body.length, 2);
    header.writeUInt32BE(xid, 4);
    this.#socket.write(Buffer.concat([header, body]));
    return xid;
  }

  #data(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER_BYTES) {
      const end = this.#rest.readUInt16BE(2);
      if (this.#rest.length < end) return;
      this.#receive(this.#rest.readUInt8(1), this.#rest.readUInt32BE(4), this.#rest.subarray(HEADER_BYTES, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  #receive(type: number, xid: number, body: Buffer): void {
    if (type === ECHO_REQUEST) this.#send(ECHO_REPLY, body, xid);
    else if (type === ERROR) this.#fail(new Error(`OpenFlow error ${body.toString("hex")}`));
    else if (type === BARRIER_REPLY) {
      this.#barriers.get(xid)?.resolve();
      this.#barriers.delete(xid);
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#barriers.values()) reject(error);
    this.#barriers.clear();
  }
}
