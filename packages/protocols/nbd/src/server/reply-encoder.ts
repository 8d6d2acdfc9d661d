import { errnoNumber, type NbdErrno } from "../wire/errno.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { NbdRequest } from "./request-interceptor.ts";
import * as wire from "../wire/wire-constants.ts";

/** A request with the cookie ("handle") under which its answer is sent. */
export interface AnsweredRequest extends Pick<NbdRequest, "command" | "offset" | "length"> {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** A part of the range of a read. */
export interface ReadPart {
  readonly offset: number;
  readonly length: number;
  /** True for the end of the answer. */
  readonly isLast: boolean;
}

/**
 * Writes the server's replies. Once structured replies are negotiated they are used where the protocol demands them (a read, a block
 * status); everything else is answered by the shorter simple reply.
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

  /** Failure; as a chunk where the command may have been answered by chunks. */
  error(request: AnsweredRequest, errno: NbdErrno): void {
    if (!this.#structured || (request.command !== "read" && request.command !== "blockStatus")) {
      this.#simple(request, errnoNumber(errno));
      return;
    }
    const payload = Buffer.alloc(6);
    payload.writeUInt32BE(errnoNumber(errno));
    this.chunk(request, wire.REPLY_ERROR, payload);
  }

  /** Part of an answer, and its end when `isLast`. */
  chunk(request: AnsweredRequest, type: number, payload: Buffer | undefined, isLast = true): void {
    const payloadBytes = payload?.length ?? 0;
    const bytes = wire.STRUCTURED_REPLY_BYTES + payloadBytes;
    const writer = this.#writer;
    const at = writer.reserve(bytes);
    chunkHead(request, { buffer: writer.buffer, at, type, payloadBytes, isLast });
    payload?.copy(writer.buffer, at + wire.STRUCTURED_REPLY_BYTES);
    writer.commit(bytes);
  }

  /** A part of a read that is all zeroes. */
  hole(request: AnsweredRequest, part: ReadPart): void {
    const payload = Buffer.allocUnsafe(12);
    writeOffset(payload, 0, part.offset);
    payload.writeUInt32BE(part.length, 8);
    this.chunk(request, wire.REPLY_OFFSET_HOLE, payload, part.isLast);
  }

  /** Fills in the `readHeadBytes` before the data of a part of a read, which only a structured reply may have. */
  partHead(request: AnsweredRequest, part: ReadPart, buffer: Buffer, at: number): void {
    const { offset, length, isLast } = part;
    chunkHead(request, { buffer, at, type: wire.REPLY_OFFSET_DATA, payloadBytes: length + 8, isLast });
    writeOffset(buffer, at + wire.STRUCTURED_REPLY_BYTES, offset);
  }

  /** Fills in the `readHeadBytes` before a read's data. */
  readHead(request: AnsweredRequest, buffer: Buffer, at: number): void {
    if (!this.#structured) {
      simpleHead(request, 0, buffer, at);
      return;
    }
    const { offset, length } = request;
    chunkHead(request, { buffer, at, type: wire.REPLY_OFFSET_DATA, payloadBytes: length + 8, isLast: true });
    writeOffset(buffer, at + wire.STRUCTURED_REPLY_BYTES, offset);
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
  readonly isLast: boolean;
}

function chunkHead(request: AnsweredRequest, { buffer, at, type, payloadBytes, isLast }: ChunkHead): void {
  buffer.writeUInt32BE(wire.STRUCTURED_REPLY_MAGIC, at);
  buffer.writeUInt16BE(isLast ? wire.REPLY_FLAG_DONE : 0, at + 4);
  buffer.writeUInt16BE(type, at + 6);
  buffer.writeUInt32BE(request.cookieHigh, at + 8);
  buffer.writeUInt32BE(request.cookieLow, at + 12);
  buffer.writeUInt32BE(payloadBytes, at + 16);
}

function writeOffset(buffer: Buffer, at: number, offset: number): void {
  buffer.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at);
  buffer.writeUInt32BE(offset % 0x1_0000_0000, at + 4);
}
