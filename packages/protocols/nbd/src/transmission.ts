import { type BlockResult, isPending } from "./block-backend.ts";
import { encodeBlockStatus } from "./block-status.ts";
import type { ByteReader } from "./byte-reader.ts";
import { errnoOf, type NbdErrno } from "./errno.ts";
import type { NbdExport } from "./nbd-export.ts";
import type { NegotiatedExport } from "./option-haggling.ts";
import { type AnsweredRequest, ReplyEncoder } from "./reply-encoder.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { NbdCommand, NbdConnection, NbdRequest } from "./request-interceptor.ts";
import * as wire from "./wire-constants.ts";

export interface TransmissionOptions {
  readonly reader: ByteReader;
  readonly writer: ReplyWriter;
  readonly negotiated: NegotiatedExport;
  readonly connection: NbdConnection;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  readonly maxQueuedBytes: number;
  /** Called when an answer that was awaited has been added to the writer. */
  readonly onFinished: () => void;
  readonly onError: (error: unknown, request: NbdRequest) => void;
}

/** Why `run` stopped: the chunk is used up, a limit is reached, the client said goodbye, or it broke the protocol. */
export type TransmissionStop = "more" | "blocked" | "disconnect" | "drop";

/** A request as it is executed and answered. */
interface Request extends NbdRequest, AnsweredRequest {
  readonly flags: number;
}

const COMMANDS: readonly (NbdCommand | undefined)[] = [
  "read",
  "write",
  undefined,
  "flush",
  "trim",
  "cache",
  "writeZeroes",
  "blockStatus",
];

/** The flags that a command may carry; FUA is taken with any, as the protocol demands. */
const COMMAND_FLAGS: readonly number[] = [
  wire.CMD_FLAG_DF,
  0,
  0,
  0,
  0,
  0,
  wire.CMD_FLAG_NO_HOLE,
  wire.CMD_FLAG_REQ_ONE,
].map((flags) => flags | wire.CMD_FLAG_FUA);

/**
 * The server's side of the transmission phase.
 *
 * A request whose interceptor and backend answer at once is parsed, executed and answered within `run`, without a promise. A payload
 * is handed to the backend only when it has arrived whole, so a write is never begun for a client that breaks off inside of it.
 */
export class Transmission {
  readonly #options: TransmissionOptions;
  readonly #reader: ByteReader;
  readonly #writer: ReplyWriter;
  readonly #replies: ReplyEncoder;
  readonly #target: NbdExport;
  readonly #structured: boolean;
  #inFlight = 0;
  #inFlightBytes = 0;
  /** The write whose payload is awaited. */
  #writing: Request | undefined;
  /** Bytes of a refused write's payload that are still to pass over. */
  #skipping = 0;

  constructor(options: TransmissionOptions) {
    this.#options = options;
    this.#reader = options.reader;
    this.#writer = options.writer;
    this.#target = options.negotiated.target;
    this.#structured = options.negotiated.structured;
    this.#replies = new ReplyEncoder(options.writer, this.#structured);
  }

  /** Requests that are neither answered nor dropped. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Handles what the reader has, up to the limits. */
  run(): TransmissionStop {
    const { maxInFlight, maxInFlightBytes, maxQueuedBytes } = this.#options;
    for (;;) {
      if (this.#skipping > 0) {
        this.#skipping = this.#reader.skip(this.#skipping);
        if (this.#skipping > 0) return "more";
      }
      if (
        this.#inFlight >= maxInFlight ||
        this.#inFlightBytes >= maxInFlightBytes ||
        this.#writer.queuedBytes >= maxQueuedBytes
      ) {
        return "blocked";
      }
      const stop = this.#writing ? this.#payload(this.#writing) : this.#header();
      if (stop) return stop;
    }
  }

  #payload(request: Request): TransmissionStop | undefined {
    const reader = this.#reader;
    if (!reader.ensure(request.length)) return "more";
    const payload = reader.buffer.subarray(reader.at, reader.at + request.length);
    reader.consume(request.length);
    this.#writing = undefined;
    this.#admit(request, payload);
    return undefined;
  }

  #header(): TransmissionStop | undefined {
    const reader = this.#reader;
    if (!reader.ensure(wire.REQUEST_BYTES)) return "more";
    const { buffer, at } = reader;
    if (buffer.readUInt32BE(at) !== wire.REQUEST_MAGIC) return "drop";
    const flags = buffer.readUInt16BE(at + 4);
    const type = buffer.readUInt16BE(at + 6);
    const command = COMMANDS[type];
    const request: Request = {
      // An unknown command is refused below and reaches nobody under this name.
      command: command ?? "flush",
      // Above 2^53 the sum is inexact, but then it lies beyond the end of any export.
      offset: buffer.readUInt32BE(at + 16) * 0x1_0000_0000 + buffer.readUInt32BE(at + 20),
      length: buffer.readUInt32BE(at + 24),
      fua: (flags & wire.CMD_FLAG_FUA) !== 0,
      cookieHigh: buffer.readUInt32BE(at + 8),
      cookieLow: buffer.readUInt32BE(at + 12),
      flags,
    };
    reader.consume(wire.REQUEST_BYTES);
    if (type === wire.CMD_DISC) return "disconnect";
    // Passing over so much for a client that ignores the limit it was told is not worth it.
    if (type === wire.CMD_WRITE && request.length > wire.MAX_PAYLOAD_BYTES) return "drop";
    const refusal = command === undefined ? "EINVAL" : this.#refusal(request, type);
    if (refusal !== undefined) {
      if (type === wire.CMD_WRITE) this.#skipping = request.length;
      this.#fail(request, type === wire.CMD_READ, refusal);
      return undefined;
    }
    if (type === wire.CMD_WRITE) {
      this.#writing = request;
      return undefined;
    }
    this.#admit(request, undefined);
    return undefined;
  }

  /** What is wrong with a request's shape or range. */
  #refusal(request: Request, type: number): NbdErrno | undefined {
    const { backend, readOnly, isStopped } = this.#target;
    const { offset, length, flags } = request;
    if (isStopped) return "ESHUTDOWN";
    if ((flags & ~(COMMAND_FLAGS[type] ?? 0)) !== 0) return "EINVAL";
    if ((flags & wire.CMD_FLAG_DF) !== 0 && !this.#structured) return "EINVAL";
    const isBeyond = offset + length > backend.sizeBytes;
    switch (type) {
      case wire.CMD_FLUSH:
        return offset === 0 && length === 0 ? undefined : "EINVAL";
      case wire.CMD_READ:
        return isBeyond || length > wire.MAX_PAYLOAD_BYTES ? "EINVAL" : undefined;
      case wire.CMD_BLOCK_STATUS:
        return isBeyond || length === 0 || !this.#options.negotiated.baseAllocation ? "EINVAL" : undefined;
      case wire.CMD_CACHE:
        return isBeyond || !backend.cache ? "EINVAL" : undefined;
    }
    if (readOnly) return "EPERM";
    if (type === wire.CMD_TRIM && !backend.trim) return "EINVAL";
    if (type === wire.CMD_WRITE_ZEROES && !backend.writeZeroes) return "EINVAL";
    if (!isBeyond) return undefined;
    return type === wire.CMD_TRIM ? "EINVAL" : "ENOSPC";
  }

  #admit(request: Request, payload: Buffer | undefined): void {
    // The export may have been removed while a payload was on its way.
    if (this.#target.isStopped) {
      this.#fail(request, false, "ESHUTDOWN");
      return;
    }
    const { interceptor } = this.#target;
    if (!interceptor?.before) {
      this.#execute(request, payload);
      return;
    }
    let gate: BlockResult;
    try {
      gate = interceptor.before(request, this.#options.connection);
    } catch (error) {
      this.#fail(request, request.command === "read", errnoOf(error));
      return;
    }
    if (!isPending(gate)) {
      this.#execute(request, payload);
      return;
    }
    if (payload) this.#reader.surrender();
    this.#begin(request);
    gate.then(
      () => {
        if (this.#target.isStopped) {
          this.#fail(request, request.command === "read", "ESHUTDOWN");
          this.#after(request, { code: "ESHUTDOWN" });
        } else {
          // Executing counts the request anew if it must be awaited.
          this.#execute(request, payload);
        }
        this.#end(request);
      },
      (error) => {
        this.#fail(request, request.command === "read", errnoOf(error));
        this.#end(request);
      },
    );
  }

  #execute(request: Request, payload: Buffer | undefined): void {
    if (request.command === "read") {
      this.#read(request);
      return;
    }
    if (request.command === "blockStatus") {
      this.#blockStatus(request);
      return;
    }
    let result: BlockResult;
    try {
      result = this.#change(request, payload);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    if (!isPending(result)) {
      this.#done(request);
      return;
    }
    if (payload) this.#reader.surrender();
    this.#await(request, result, () => this.#done(request));
  }

  #change(request: Request, payload: Buffer | undefined): BlockResult {
    const { backend, flushes } = this.#target;
    const { offset, length } = request;
    let result: BlockResult;
    switch (request.command) {
      case "flush":
        return flushes.flush();
      case "cache":
        return backend.cache?.(offset, length);
      case "trim":
        result = backend.trim?.(offset, length);
        break;
      case "writeZeroes":
        result = backend.writeZeroes?.(offset, length, { noHole: (request.flags & wire.CMD_FLAG_NO_HOLE) !== 0 });
        break;
      default:
        result = payload && length > 0 ? backend.write(payload, offset) : undefined;
    }
    if (!request.fua) return result;
    return isPending(result) ? result.then(() => flushes.flush()) : flushes.flush();
  }

  #read(request: Request): void {
    const { offset, length } = request;
    if (length === 0) {
      this.#done(request);
      return;
    }
    const headBytes = this.#replies.readHeadBytes;
    const writer = this.#writer;
    const at = writer.reserve(headBytes + length);
    const { buffer } = writer;
    const target = buffer.subarray(at + headBytes, at + headBytes + length);
    let result: BlockResult;
    try {
      result = this.#target.backend.read(target, offset);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    if (!isPending(result)) {
      this.#replies.readHead(request, buffer, at);
      writer.commit(headBytes + length);
      this.#after(request, undefined);
      return;
    }
    const region = writer.detach(headBytes + length);
    this.#await(
      request,
      result,
      () => {
        this.#replies.readHead(request, buffer, at);
        writer.send(region);
        this.#after(request, undefined);
      },
      () => writer.drop(region),
    );
  }

  #blockStatus(request: Request): void {
    const { offset, length } = request;
    const isOne = (request.flags & wire.CMD_FLAG_REQ_ONE) !== 0;
    try {
      const extents = this.#target.backend.extents?.(offset, length) ?? [];
      if (isPending(extents)) {
        const encoding = extents.then((list) => encodeBlockStatus(list, length, isOne));
        this.#await(request, encoding, (payload) => {
          this.#replies.chunk(request, wire.REPLY_BLOCK_STATUS, payload);
          this.#after(request, undefined);
        });
        return;
      }
      this.#replies.chunk(request, wire.REPLY_BLOCK_STATUS, encodeBlockStatus(extents, length, isOne));
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    this.#after(request, undefined);
  }

  /** Counts the request until `result` settles, then answers it. */
  #await<T>(request: Request, result: PromiseLike<T>, answer: (value: T) => void, onFailed?: () => void): void {
    this.#begin(request);
    result.then(
      (value) => {
        answer(value);
        this.#end(request);
      },
      (error) => {
        onFailed?.();
        this.#refuse(request, error);
        this.#end(request);
      },
    );
  }

  #begin(request: Request): void {
    this.#inFlight++;
    this.#inFlightBytes += request.length;
    this.#target.begin();
  }

  #end(request: Request): void {
    this.#inFlight--;
    this.#inFlightBytes -= request.length;
    this.#options.onFinished();
    this.#target.end();
  }

  #done(request: Request): void {
    this.#replies.done(request);
    this.#after(request, undefined);
  }

  /** Answers a failure of the backend. */
  #refuse(request: Request, error: unknown): void {
    this.#options.onError(error, request);
    this.#fail(request, request.command === "read" || request.command === "blockStatus", errnoOf(error));
    this.#after(request, error);
  }

  #after(request: Request, error: unknown): void {
    const { interceptor } = this.#target;
    if (!interceptor?.after) return;
    try {
      interceptor.after(request, this.#options.connection, error);
    } catch (thrown) {
      // The request is answered already, and the other clients must not suffer.
      this.#options.onError(thrown, request);
    }
  }

  #fail(request: Request, needsChunk: boolean, errno: NbdErrno): void {
    this.#replies.error(request, errno, needsChunk);
  }
}
