import { ByteReader } from "../wire/byte-reader.ts";
import { NbdError } from "../nbd-error.ts";
import * as wire from "../wire/wire-constants.ts";

/** A request whose answer is awaited, as the parser needs to know it. */
export interface AwaitedReply {
  readonly command: number;
  readonly offset: number;
  readonly length: number;
  /** Where read data goes; undefined for other commands, and once the caller has given up. */
  target: Buffer | undefined;
  /** Bytes of a read answered so far. */
  received: number;
  /** The first error among the chunks (0 = none), and its text. */
  errno: number;
  text: string;
  /** The descriptors of block status chunks, by the id of their context. */
  status: Map<number, Buffer> | undefined;
}

export interface ReplyParserOptions {
  readonly structured: boolean;
  /** The request of a cookie; undefined when there is none. */
  readonly find: (cookie: number) => AwaitedReply | undefined;
  /** The answer is complete. */
  readonly finish: (cookie: number, reply: AwaitedReply) => void;
}

/** What is expected next; `data` alone is taken piece by piece. */
type Stage = "header" | "length" | "offset" | "data" | "hole" | "status" | "error";

/** So many contexts a client selects at most. */
export const MAX_CONTEXTS = 64;
const MAX_STATUS_BYTES = 1024 * 1024;
const MAX_ERROR_BYTES = 8192;

/**
 * Takes the server's replies apart. Read data is copied once, from the socket's chunk to where the caller wants it; everything that a
 * server claims is checked against the request before a byte is written. Throws `NBD_PROTOCOL`.
 */
export class ReplyParser {
  readonly #options: ReplyParserOptions;
  readonly #reader = new ByteReader();
  #stage: Stage = "header";
  #needed = wire.SIMPLE_REPLY_BYTES;
  #reply: AwaitedReply | undefined;
  #cookie = 0;
  #isLast = false;
  #type = 0;
  #dataLeft = 0;
  #dataAt = 0;

  constructor(options: ReplyParserOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    const reader = this.#reader;
    reader.feed(chunk);
    for (;;) {
      if (this.#stage === "data") {
        if (!this.#takeData()) return;
        continue;
      }
      const needed = this.#needed;
      if (!reader.ensure(needed)) return;
      const { buffer, at } = reader;
      reader.consume(needed);
      this.#take(buffer, at);
    }
  }

  #take(buffer: Buffer, at: number): void {
    if (this.#stage === "header") {
      this.#header(buffer, at);
      return;
    }
    const reply = this.#reply as AwaitedReply;
    switch (this.#stage) {
      case "length":
        this.#length(reply, buffer.readUInt32BE(at));
        return;
      case "offset":
        this.#expectData(reply, offsetAt(buffer, at));
        return;
      case "hole": {
        const length = buffer.readUInt32BE(at + 8);
        const start = this.#place(reply, offsetAt(buffer, at), length);
        reply.target?.fill(0, start, start + length);
        break;
      }
      case "status":
        reply.status ??= new Map();
        if (reply.status.has(buffer.readUInt32BE(at))) throw protocolError("two block statuses of one context");
        reply.status.set(buffer.readUInt32BE(at), Buffer.from(buffer.subarray(at + 4, at + this.#needed)));
        break;
      default: {
        const textBytes = buffer.readUInt16BE(at + 4);
        if (6 + textBytes > this.#needed) throw protocolError("an error whose text is longer than itself");
        if (reply.errno === 0) {
          reply.errno = buffer.readUInt32BE(at) || 5;
          reply.text = buffer.toString("utf8", at + 6, at + 6 + textBytes);
        }
      }
    }
    this.#chunkDone(reply);
  }

  #header(buffer: Buffer, at: number): void {
    const magic = buffer.readUInt32BE(at);
    this.#cookie = buffer.readUInt32BE(at + 12);
    const reply = buffer.readUInt32BE(at + 8) === 0 ? this.#options.find(this.#cookie) : undefined;
    if (!reply) throw protocolError("an answer to no request");
    this.#reply = reply;
    if (magic === wire.STRUCTURED_REPLY_MAGIC && this.#options.structured) {
      this.#isLast = (buffer.readUInt16BE(at + 4) & wire.REPLY_FLAG_DONE) !== 0;
      this.#type = buffer.readUInt16BE(at + 6);
      this.#expect("length", 4);
      return;
    }
    if (magic !== wire.SIMPLE_REPLY_MAGIC) throw protocolError("an unknown reply");
    const isRead = reply.command === wire.CMD_READ;
    if (isRead && this.#options.structured) throw protocolError("a simple answer to a read");
    reply.errno = buffer.readUInt32BE(at + 4);
    this.#isLast = true;
    if (!isRead || reply.errno !== 0) {
      this.#chunkDone(reply);
      return;
    }
    this.#dataLeft = reply.length;
    this.#expectData(reply, reply.offset);
  }

  #length(reply: AwaitedReply, length: number): void {
    const isRead = reply.command === wire.CMD_READ;
    switch (this.#type) {
      case wire.REPLY_NONE:
        if (length !== 0 || !this.#isLast) throw protocolError("an empty chunk that is not the last");
        this.#chunkDone(reply);
        return;
      case wire.REPLY_OFFSET_DATA:
        if (!isRead || length < 9) throw protocolError("data that was not asked for");
        this.#dataLeft = length - 8;
        this.#expect("offset", 8);
        return;
      case wire.REPLY_OFFSET_HOLE:
        if (!isRead || length !== 12) throw protocolError("a hole that was not asked for");
        this.#expect("hole", length);
        return;
      case wire.REPLY_BLOCK_STATUS: {
        const isStatus = reply.command === wire.CMD_BLOCK_STATUS && (reply.status?.size ?? 0) < MAX_CONTEXTS;
        if (!isStatus || length < 12 || length % 8 !== 4 || length > MAX_STATUS_BYTES) {
          throw protocolError("a malformed block status");
        }
        this.#expect("status", length);
        return;
      }
      default:
        if (this.#type < 0x8000 || length < 6 || length > MAX_ERROR_BYTES) throw protocolError("an unknown chunk");
        this.#expect("error", length);
    }
  }

  #expect(stage: Stage, bytes: number): void {
    this.#stage = stage;
    this.#needed = bytes;
  }

  #expectData(reply: AwaitedReply, offset: number): void {
    this.#dataAt = this.#place(reply, offset, this.#dataLeft);
    this.#stage = "data";
  }

  /** Where in the target a content chunk goes. */
  #place(reply: AwaitedReply, offset: number, length: number): number {
    const at = offset - reply.offset;
    reply.received += length;
    if (at < 0 || length === 0 || at + length > reply.length || reply.received > reply.length) {
      throw protocolError("content outside of what was asked for");
    }
    return at;
  }

  #takeData(): boolean {
    const reader = this.#reader;
    const reply = this.#reply as AwaitedReply;
    const taken = reader.take(this.#dataLeft);
    if (taken === 0) return false;
    reply.target?.set(reader.buffer.subarray(reader.at, reader.at + taken), this.#dataAt);
    this.#dataAt += taken;
    this.#dataLeft -= taken;
    if (this.#dataLeft === 0) this.#chunkDone(reply);
    return true;
  }

  #chunkDone(reply: AwaitedReply): void {
    this.#expect("header", wire.SIMPLE_REPLY_BYTES);
    this.#reply = undefined;
    if (!this.#isLast) return;
    if (reply.errno === 0) {
      if (reply.command === wire.CMD_READ && reply.received !== reply.length) throw protocolError("too little data");
      if (reply.command === wire.CMD_BLOCK_STATUS && !reply.status) throw protocolError("no block status");
    }
    this.#options.finish(this.#cookie, reply);
  }
}

/** Above 2^53 the sum is inexact, but then it lies outside of any request. */
function offsetAt(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
}

function protocolError(what: string): NbdError {
  return new NbdError("NBD_PROTOCOL", `the server sent ${what}`);
}
