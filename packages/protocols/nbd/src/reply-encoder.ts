import { errnoNumber, type NbdErrno } from "./errno.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { NbdRequest } from "./request-interceptor.ts";
import * as wire from "./wire-constants.ts";

/** A request with the cookie ("handle") under which its answer is sent. */
export interface AnsweredRequest extends Pick<NbdRequest, "command" | "offset" | "length"> {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/**
 * Writes the server's replies. Once structured replies are negotiated they are used where the protocol demands them (a read, a block
 * status); everything else is answered by the shorter simple reply. Every structured reply is one chunk.
 */
export class ReplyEncoder {
  /** How many bytes stand before the data in the answer to a read. */
  readonly readHeadBytes: number;
  readonly #writer: ReplyWriter;
  readonly #structured: boolean;

  constructor(writer: ReplyWriter, structured: boolean) {
    this.#writer = writer;
    this.#structured = structured;
    this.readHeadBytes = structured ? wire.STRUCTURED_REPLY_BYTES + 8 : wire.SIMPLE_REPLY_BYTES;
  }

  /** Success without data. */
  done(request: AnsweredRequest): void {
    if (request.command === "read" && this.#structured) this.chunk(request, wire.REPLY_NONE, undefined);
    else this.#simple(request, 0);
  }

  /** Failure, in the form of a chunk where a simple reply is not allowed. */
  error(request: AnsweredRequest, errno: NbdErrno, needsChunk: boolean): void {
    if (!this.#structured || !needsChunk) {
      this.#simple(request, errnoNumber(errno));
      return;
    }
    const payload = Buffer.alloc(6);
    payload.writeUInt32BE(errnoNumber(errno));
    this.chunk(request, wire.REPLY_ERROR, payload);
  }

  chunk(request: AnsweredRequest, type: number, payload: Buffer | undefined): void {
    const payloadBytes = payload?.length ?? 0;
    const bytes = wire.STRUCTURED_REPLY_BYTES + payloadBytes;
    const writer = this.#writer;
    const at = writer.reserve(bytes);
    chunkHead(request, { buffer: writer.buffer, at, type, payloadBytes });
    payload?.copy(writer.buffer, at + wire.STRUCTURED_REPLY_BYTES);
    writer.commit(bytes);
  }

  /** Fills in the `readHeadBytes` before a read's data. */
  readHead(request: AnsweredRequest, buffer: Buffer, at: number): void {
    if (!this.#structured) {
      simpleHead(request, 0, buffer, at);
      return;
    }
    chunkHead(request, { buffer, at, type: wire.REPLY_OFFSET_DATA, payloadBytes: request.length + 8 });
    buffer.writeUInt32BE(Math.floor(request.offset / 0x1_0000_0000), at + wire.STRUCTURED_REPLY_BYTES);
    buffer.writeUInt32BE(request.offset % 0x1_0000_0000, at + wire.STRUCTURED_REPLY_BYTES + 4);
  }

  #simple(request: AnsweredRequest, errno: number): void {
    const at = this.#writer.reserve(wire.SIMPLE_REPLY_BYTES);
    simpleHead(request, errno, this.#writer.buffer, at);
    this.#writer.commit(wire.SIMPLE_REPLY_BYTES);
  }
}

function simpleHead(request: AnsweredRequest, errno: number, buffer: Buffer, at: number): void {
  buffer.writeUInt32BE(wire.SIMPLE_REPLY_MAGIC, at);
  buffer.writeUInt32BE(errno, at + 4);
  buffer.writeUInt32BE(request.cookieHigh, at + 8);
  buffer.writeUInt32BE(request.cookieLow, at + 12);
}

interface ChunkHead {
  readonly buffer: Buffer;
  readonly at: number;
  readonly type: number;
  readonly payloadBytes: number;
}

function chunkHead(request: AnsweredRequest, { buffer, at, type, payloadBytes }: ChunkHead): void {
  buffer.writeUInt32BE(wire.STRUCTURED_REPLY_MAGIC, at);
  buffer.writeUInt16BE(wire.REPLY_FLAG_DONE, at + 4);
  buffer.writeUInt16BE(type, at + 6);
  buffer.writeUInt32BE(request.cookieHigh, at + 8);
  buffer.writeUInt32BE(request.cookieLow, at + 12);
  buffer.writeUInt32BE(payloadBytes, at + 16);
}
