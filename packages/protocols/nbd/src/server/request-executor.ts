import { type BlockResult, isPending } from "../block-backend.ts";
import type { ByteReader } from "../wire/byte-reader.ts";
import { errnoOf } from "../wire/errno.ts";
import * as wire from "../wire/wire-constants.ts";
import { encodeBlockStatus } from "./block-status.ts";
import type { StateRun } from "./meta-context.ts";
import type { NbdExport } from "./nbd-export.ts";
import type { NegotiatedExport } from "./option-haggling.ts";
import type { ReplyEncoder } from "./reply-encoder.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import { type Request, refusalOf } from "./request.ts";
import type { NbdConnection, NbdRequest } from "./request-interceptor.ts";
import { divideRead, SPARSE_READ_BYTES, type SparsePart } from "./sparse-read.ts";

export interface RequestExecutorOptions {
  readonly reader: ByteReader;
  readonly writer: ReplyWriter;
  readonly replies: ReplyEncoder;
  readonly negotiated: NegotiatedExport;
  readonly connection: NbdConnection;
  /** Called when an answer that was awaited has been added to the writer. */
  readonly onFinished: () => void;
  readonly onError: (error: unknown, request: NbdRequest) => void;
}

/** Hands requests of one connection to the backend and answers them. What the backend answers at once costs no promise. */
export class RequestExecutor {
  readonly #options: RequestExecutorOptions;
  readonly #writer: ReplyWriter;
  readonly #replies: ReplyEncoder;
  readonly #target: NbdExport;
  readonly #isSparse: boolean;
  #inFlight = 0;
  #inFlightBytes = 0;

  constructor(options: RequestExecutorOptions) {
    this.#options = options;
    this.#writer = options.writer;
    this.#replies = options.replies;
    const { target, structured } = options.negotiated;
    this.#target = target;
    this.#isSparse = structured && target.backend.sparseReads === true;
  }

  /** Requests that are neither answered nor dropped. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The bytes they are about. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  execute(request: Request, payload: Buffer | undefined): void {
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
    if (payload) this.#options.reader.surrender();
    this.#await(request, result, () => this.#done(request));
  }

  /** Executes a request when its interceptor lets it pass. */
  executeAfter(gate: PromiseLike<unknown>, request: Request, payload: Buffer | undefined): void {
    if (payload) this.#options.reader.surrender();
    this.#begin(request);
    gate.then(
      () => {
        // The export may have been removed meanwhile, or made smaller.
        const refusal = refusalOf(request, this.#options.negotiated);
        if (refusal !== undefined) {
          this.#replies.error(request, refusal);
          this.#after(request, { code: refusal });
        } else {
          // Executing counts the request anew if it must be awaited.
          this.execute(request, payload);
        }
        this.#end(request);
      },
      (error) => {
        this.#replies.error(request, errnoOf(error));
        this.#end(request);
      },
    );
  }

  #change(request: Request, payload: Buffer | undefined): BlockResult {
    const { backend, flushes } = this.#target;
    const { offset, length, flags } = request;
    let result: BlockResult;
    switch (request.command) {
      case "flush":
        return flushes.flush();
      case "cache":
        return backend.cache?.(offset, length);
      case "resize":
        result = backend.resize?.(offset);
        break;
      case "trim":
        result = backend.trim?.(offset, length);
        break;
      case "writeZeroes":
        result = backend.writeZeroes?.(offset, length, {
          noHole: (flags & wire.CMD_FLAG_NO_HOLE) !== 0,
          fast: (flags & wire.CMD_FLAG_FAST_ZERO) !== 0,
        });
        break;
      default:
        result = payload && length > 0 ? backend.write(payload, offset) : undefined;
    }
    if (!request.fua) return result;
    return isPending(result) ? result.then(() => flushes.flush()) : flushes.flush();
  }

  #read(request: Request): void {
    const { offset, length, flags } = request;
    if (length === 0) {
      this.#done(request);
      return;
    }
    if (this.#isSparse && length >= SPARSE_READ_BYTES && (flags & wire.CMD_FLAG_DF) === 0) {
      let parts: readonly SparsePart[] | undefined;
      try {
        parts = divideRead(this.#target.backend, offset, length);
      } catch (error) {
        this.#refuse(request, error);
        return;
      }
      if (parts) {
        this.#readParts(request, parts, 0);
        return;
      }
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
    const answer = (): void => {
      this.#replies.readHead(request, buffer, at);
      writer.send(region);
      this.#after(request, undefined);
    };
    this.#await(request, result, answer, () => writer.drop(region));
  }

  /** Answers the parts of a read from `first` on, one after the other. */
  #readParts(request: Request, parts: readonly SparsePart[], first: number): void {
    const headBytes = this.#replies.readHeadBytes;
    const writer = this.#writer;
    for (let index = first; index < parts.length; index++) {
      const part = parts[index] as SparsePart;
      if (part.isHole) {
        this.#replies.hole(request, part);
        continue;
      }
      const bytes = headBytes + part.length;
      const at = writer.reserve(bytes);
      const { buffer } = writer;
      let result: BlockResult;
      try {
        result = this.#target.backend.read(buffer.subarray(at + headBytes, at + bytes), part.offset);
      } catch (error) {
        this.#refuse(request, error);
        return;
      }
      if (isPending(result)) {
        const region = writer.detach(bytes);
        const goOn = (): void => {
          this.#replies.partHead(request, part, buffer, at);
          writer.send(region);
          this.#readParts(request, parts, index + 1);
        };
        this.#await(request, result, goOn, () => writer.drop(region));
        return;
      }
      this.#replies.partHead(request, part, buffer, at);
      writer.commit(bytes);
    }
    this.#after(request, undefined);
  }

  #blockStatus(request: Request): void {
    const { offset, length } = request;
    const { contexts } = this.#options.negotiated;
    const isOne = (request.flags & wire.CMD_FLAG_REQ_ONE) !== 0;
    const answer = (results: readonly Iterable<StateRun>[]): void => {
      // All of them first: a failure must not follow a part of the answer.
      const payloads = results.map((runs, index) => encodeBlockStatus(contexts[index]?.id ?? 0, runs, length, isOne));
      payloads.forEach((payload, index) => {
        this.#replies.chunk(request, wire.REPLY_BLOCK_STATUS, payload, index === payloads.length - 1);
      });
      this.#after(request, undefined);
    };
    try {
      const results = contexts.map(({ context }) => context.states(offset, length));
      if (results.every((result) => !isPending(result))) answer(results as Iterable<StateRun>[]);
      else this.#await(request, Promise.all(results), answer);
    } catch (error) {
      this.#refuse(request, error);
    }
  }

  /** Counts the request until `result` settles, then answers it. */
  #await<T>(request: Request, result: PromiseLike<T>, answer: (value: T) => void, onFailed?: () => void): void {
    this.#begin(request);
    result.then(
      (value) => {
        try {
          answer(value);
        } catch (error) {
          // What was told of extents is looked at while it is answered.
          this.#refuse(request, error);
        }
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
    this.#replies.error(request, errnoOf(error));
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
}
