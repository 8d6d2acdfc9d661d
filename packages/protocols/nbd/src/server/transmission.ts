import { type BlockResult, isPending } from "../block-backend.ts";
import type { ByteReader } from "../wire/byte-reader.ts";
import { errnoOf } from "../wire/errno.ts";
import * as wire from "../wire/wire-constants.ts";
import type { NegotiatedExport } from "./option-haggling.ts";
import { ReplyEncoder } from "./reply-encoder.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import { parseRequest, type Request, refusalOf } from "./request.ts";
import { RequestExecutor } from "./request-executor.ts";
import type { NbdConnection, NbdRequest } from "./request-interceptor.ts";

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

/**
 * The server's side of the transmission phase: takes requests off the wire, within the connection's limits, past the interceptor.
 *
 * A request whose interceptor and backend answer at once is parsed, executed and answered within `run`, without a promise. A payload
 * is handed to the backend only when it has arrived whole, so a write is never begun for a client that breaks off inside of it.
 */
export class Transmission {
  readonly #options: TransmissionOptions;
  readonly #reader: ByteReader;
  readonly #writer: ReplyWriter;
  readonly #replies: ReplyEncoder;
  readonly #executor: RequestExecutor;
  /** The write whose payload is awaited. */
  #writing: Request | undefined;
  /** Bytes of a refused write's payload that are still to pass over. */
  #skipping = 0;

  constructor(options: TransmissionOptions) {
    this.#options = options;
    this.#reader = options.reader;
    this.#writer = options.writer;
    this.#replies = new ReplyEncoder(options.writer, options.negotiated.structured);
    this.#executor = new RequestExecutor({ ...options, replies: this.#replies });
  }

  /** Requests that are neither answered nor dropped. */
  get inFlight(): number {
    return this.#executor.inFlight;
  }

  /** Handles what the reader has, up to the limits. */
  run(): TransmissionStop {
    const { maxInFlight, maxInFlightBytes, maxQueuedBytes } = this.#options;
    const executor = this.#executor;
    for (;;) {
      if (this.#skipping > 0) {
        this.#skipping = this.#reader.skip(this.#skipping);
        if (this.#skipping > 0) return "more";
      }
      if (
        executor.inFlight >= maxInFlight ||
        executor.inFlightBytes >= maxInFlightBytes ||
        this.#writer.queuedBytes >= maxQueuedBytes
      ) {
        return "blocked";
      }
      const stop = this.#writing ? this.#payload(this.#writing) : this.#header();
      if (stop) return stop;
    }
  }

  #header(): TransmissionStop | undefined {
    const reader = this.#reader;
    if (!reader.ensure(wire.REQUEST_BYTES)) return "more";
    const request = parseRequest(reader.buffer, reader.at);
    reader.consume(wire.REQUEST_BYTES);
    if (request === undefined) return "drop";
    if (request.type === wire.CMD_DISC) return "disconnect";
    const isWrite = request.type === wire.CMD_WRITE;
    // Passing over so much for a client that ignores the limit it was told is not worth it.
    if (isWrite && request.length > wire.MAX_PAYLOAD_BYTES) return "drop";
    const refusal = refusalOf(request, this.#options.negotiated);
    if (refusal !== undefined) {
      if (isWrite) this.#skipping = request.length;
      this.#replies.error(request, refusal);
      return undefined;
    }
    if (isWrite) this.#writing = request;
    else this.#admit(request, undefined);
    return undefined;
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

  /** Lets a request past the interceptor. */
  #admit(request: Request, payload: Buffer | undefined): void {
    const { target } = this.#options.negotiated;
    // The export may have been removed while a payload was on its way.
    if (target.isStopped) {
      this.#replies.error(request, "ESHUTDOWN");
      return;
    }
    const { interceptor } = target;
    if (!interceptor?.before) {
      this.#executor.execute(request, payload);
      return;
    }
    let gate: BlockResult;
    try {
      gate = interceptor.before(request, this.#options.connection);
    } catch (error) {
      this.#replies.error(request, errnoOf(error));
      return;
    }
    if (isPending(gate)) this.#executor.executeAfter(gate, request, payload);
    else this.#executor.execute(request, payload);
  }
}
