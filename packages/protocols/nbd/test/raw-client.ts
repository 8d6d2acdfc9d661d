import { connect, type Socket } from "node:net";
import * as wire from "../src/wire/wire-constants.ts";

export interface RawRequest {
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  readonly flags?: number;
  /** What follows the header; defaults to as many zeroes as a write announces. */
  readonly payload?: Buffer;
}

/** A client that sends what it is told, right or wrong. */
export class RawClient {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        resolve();
        this.#wake?.();
      });
    });
  }

  static async connect(
    address: string | { readonly host: string; readonly port: number },
    flags = 3,
  ): Promise<RawClient> {
    const where = typeof address === "string" ? { path: address } : address;
    const client = new RawClient(connect({ ...where, allowHalfOpen: true }));
    client.#socket.once("end", () => client.#socket.end());
    await client.take(wire.GREETING_BYTES);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(flags);
    client.write(bytes);
    return client;
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  async take(bytes: number): Promise<Buffer> {
    while (this.#bytes < bytes) {
      if (this.#socket.destroyed) throw new Error(`the server closed after ${this.#bytes} of ${bytes} bytes`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const parts: Buffer[] = [];
    for (let left = bytes; left > 0; ) {
      const first = this.#chunks[0] as Buffer;
      parts.push(first.subarray(0, left));
      if (first.length > left) this.#chunks[0] = first.subarray(left);
      else this.#chunks.shift();
      left -= Math.min(left, first.length);
    }
    this.#bytes -= bytes;
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  sendOption(option: number, data: Buffer = Buffer.alloc(0), announced: number = data.length): void {
    const head = Buffer.alloc(16);
    head.writeUInt32BE(wire.OPTION_MAGIC_HIGH, 0);
    head.writeUInt32BE(wire.OPTION_MAGIC_LOW, 4);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(announced, 12);
    this.write(Buffer.concat([head, data]));
  }

  /** Sends an option and takes its replies up to the last. */
  option(option: number, data?: Buffer): Promise<{ readonly type: number; readonly data: Buffer }[]> {
    this.sendOption(option, data);
    return this.replies(option);
  }

  async replies(option: number): Promise<{ readonly type: number; readonly data: Buffer }[]> {
    const replies: { readonly type: number; readonly data: Buffer }[] = [];
    for (;;) {
      const head = await this.take(20);
      if (head.readUInt32BE(8) !== option) throw new Error("an answer to another option");
      const type = head.readUInt32BE(12);
      replies.push({ type, data: await this.take(head.readUInt32BE(16)) });
      if (type === wire.REP_ACK || type >= 0x80000000) return replies;
    }
  }

  async go(name: string): Promise<void> {
    const bytes = Buffer.from(name);
    const data = Buffer.alloc(6 + bytes.length);
    data.writeUInt32BE(bytes.length);
    bytes.copy(data, 4);
    const last = (await this.option(wire.OPT_GO, data)).at(-1);
    if (last?.type !== wire.REP_ACK) throw new Error("the server refused the export");
  }

  request({ type, offset, length, flags = 0, payload }: RawRequest): void {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(wire.REQUEST_MAGIC, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.write(head);
    const follows = payload ?? (type === wire.CMD_WRITE ? Buffer.alloc(length) : undefined);
    if (follows) this.write(follows);
  }
}

/** A chunk of a structured reply. */
export interface Chunk {
  readonly isLast: boolean;
  readonly type: number;
  readonly payload: Buffer;
}

/** Takes the chunks of one structured reply. */
export async function takeChunks(client: RawClient): Promise<Chunk[]> {
  const all: Chunk[] = [];
  for (;;) {
    const head = await client.take(wire.STRUCTURED_REPLY_BYTES);
    if (head.readUInt32BE(0) !== wire.STRUCTURED_REPLY_MAGIC) throw new Error("no structured reply");
    const isLast = (head.readUInt16BE(4) & wire.REPLY_FLAG_DONE) !== 0;
    all.push({ isLast, type: head.readUInt16BE(6), payload: await client.take(head.readUInt32BE(16)) });
    if (isLast) return all;
  }
}

/** The data of an option about metadata contexts. */
export function contextQuery(name: string, ...queries: readonly string[]): Buffer {
  const parts = [name, ...queries].map((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(text));
    return Buffer.concat([length, Buffer.from(text)]);
  });
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([parts[0] as Buffer, count, ...parts.slice(1)]);
}
