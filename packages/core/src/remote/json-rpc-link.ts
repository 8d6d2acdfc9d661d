import type { Duplex, Readable, Writable } from "node:stream";
import {
  type AbstractCancellationTokenSource,
  type CancellationToken,
  createMessageConnection,
  type MessageConnection,
  ParameterStructures,
} from "vscode-jsonrpc/node";
import { toVdcError, VdcError } from "../error/vdc-error.ts";
import { BoundedMessageReader } from "./bounded-message-reader.ts";
import { BoundedMessageWriter } from "./bounded-message-writer.ts";
import { fromResponseError, toResponseError } from "./wire-error.ts";
import { defaultMaxBufferedBytes, defaultMaxCallsInFlight, defaultMaxMessageBytes } from "./wire-protocol.ts";

/** Two-way bytes: a socket, or a readable and a writable that belong together. */
export type ByteStream = Duplex | { readonly readable: Readable; readonly writable: Writable };

/** What a peer may cost. */
export interface LinkLimits {
  /** The longest message that is sent or accepted, in bytes. Defaults to 8 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** How many of the peer's requests may run at once. Defaults to 1024. */
  readonly maxCallsInFlight?: number | undefined;
  /**
   * How many bytes may wait for a peer that does not read, before it is given up; and how many the requests may have that are being
   * served, before further ones are refused. Defaults to 64 MiB.
   */
  readonly maxBufferedBytes?: number | undefined;
}

/** Answers a request. `signal` aborts when the peer cancels it or is gone. */
export type RequestHandler = (params: readonly unknown[], signal: AbortSignal) => unknown;

/** Takes a notification. */
export type NotificationHandler = (params: readonly unknown[]) => void;

/**
 * A JSON-RPC peer over a byte stream, on `vscode-jsonrpc`, with what a boundary needs on top: bounded memory, errors as
 * {@link VdcError}, cancellation by `AbortSignal`, and calls in flight that fail with `UNAVAILABLE` when the connection is lost.
 */
export class JsonRpcLink {
  /** Resolves when the connection is over, with why. Never rejects. */
  readonly closed: Promise<VdcError>;
  readonly #connection: MessageConnection;
  readonly #reader: BoundedMessageReader;
  readonly #writer: BoundedMessageWriter;
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #maxCallsInFlight: number;
  /** The peer's requests that run, by their ids. */
  readonly #serving: Map<string | number, RunningRequest> = new Map();
  /** Requests that were cancelled before they were dispatched. */
  readonly #cancelledEarly: Set<string | number> = new Set();
  #resolveClosed: (why: VdcError) => void = () => {};
  #why: VdcError | undefined;
  #lastRequestId: string | number = 0;
  /** The length of the message that is being dispatched. */
  #dispatchedBytes = 0;
  /** The length of all requests that are being served. */
  #servingBytes = 0;
  readonly #maxBufferedBytes: number;

  constructor(stream: ByteStream, limits: LinkLimits = {}) {
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#readable = "readable" in stream && typeof stream.readable === "object" ? stream.readable : (stream as Duplex);
    this.#writable = "writable" in stream && typeof stream.writable === "object" ? stream.writable : (stream as Duplex);
    const maxMessageBytes = limits.maxMessageBytes ?? defaultMaxMessageBytes;
    this.#maxBufferedBytes = limits.maxBufferedBytes ?? defaultMaxBufferedBytes;
    this.#maxCallsInFlight = limits.maxCallsInFlight ?? defaultMaxCallsInFlight;
    this.#reader = new BoundedMessageReader(this.#readable, {
      maxMessageBytes,
      onViolation: (error) => this.fail(error),
      onCancel: (id) => this.#cancel(id),
    });
    this.#writer = new BoundedMessageWriter(this.#writable, {
      maxMessageBytes,
      maxBufferedBytes: this.#maxBufferedBytes,
      onOverflow: (error) => this.fail(error),
    });
    this.#connection = createMessageConnection(this.#reader, this.#writer, undefined, {
      cancellationStrategy: {
        receiver: { kind: "id", createCancellationTokenSource: (id) => this.#begin(id) },
        sender: {
          enableCancellation: (message) => {
            this.#lastRequestId = message.id as number;
          },
          sendCancellation: () => Promise.resolve(),
          cleanup: () => {},
        },
      },
      messageStrategy: {
        handleMessage: (message, next) => {
          this.#dispatchedBytes = this.#reader.dispatched(message);
          return next(message);
        },
      },
    });
    this.handle("ping", () => null);
    const onEnd = (): void => this.fail(lost("the other side closed it"));
    const onError = (cause: Error): void => this.fail(lost(cause.message, cause));
    for (const side of new Set([this.#readable, this.#writable])) {
      side.on("error", onError);
      side.on("close", onEnd);
    }
    this.#readable.on("end", onEnd);
    this.#connection.listen();
    if (this.#readable.destroyed || this.#readable.readableEnded) queueMicrotask(onEnd);
  }

  /** Why the connection is over; `undefined` while it is not. */
  get why(): VdcError | undefined {
    return this.#why;
  }

  /** Bytes that the peer has not taken yet. */
  get bufferedBytes(): number {
    return this.#writer.bufferedBytes;
  }

  /** Answers requests of a method. */
  handle(method: string, handler: RequestHandler): void {
    this.#connection.onRequest(method, (...args: unknown[]) => this.#serve(handler, args));
  }

  /** Answers requests of every other method. */
  handleAny(handler: (method: string, params: readonly unknown[], signal: AbortSignal) => unknown): void {
    this.#connection.onRequest((method: string, params: unknown, token: CancellationToken) =>
      this.#serve(
        (list, signal) => handler(method, list, signal),
        [...(Array.isArray(params) ? params : [params]), token],
      ),
    );
  }

  /** Takes notifications of a method. What a handler throws ends the connection: the peer sent what it must not. */
  onNotify(method: string, handler: NotificationHandler): void {
    this.#connection.onNotification(method, (...params: unknown[]) => {
      try {
        handler(params);
      } catch (cause) {
        this.fail(
          new VdcError("UNAVAILABLE", `the connection was closed because of a wrong '${method}' from the peer`, {
            reason: "VDC_PROTOCOL_VIOLATION",
            cause,
          }),
        );
      }
    });
  }

  /** Sends a notification, or nothing when the connection is over. Throws when the message is refused: too long, or not JSON. */
  notify(method: string, params: readonly unknown[]): void {
    if (this.#why !== undefined) return;
    this.#connection.sendNotification(method, ParameterStructures.byPosition, ...params).catch(() => {});
    const refusal = this.#writer.takeRefusal();
    if (refusal !== undefined) throw refusal;
  }

  /**
   * Sends a request. Rejects with what the peer answered, `UNAVAILABLE` when the connection is or gets lost, and the signal's reason
   * as soon as it aborts; the peer is then told to stop.
   */
  request(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    if (this.#why !== undefined) return Promise.reject(this.#why);
    if (signal?.aborted) return Promise.reject(toAbortError(signal));
    const sent = this.#connection.sendRequest<unknown>(method, ParameterStructures.byPosition, ...params);
    const refusal = this.#writer.takeRefusal();
    if (refusal !== undefined) {
      sent.catch(() => {});
      return Promise.reject(refusal);
    }
    if (signal === undefined) return sent.catch(this.#rethrow);
    const id = this.#lastRequestId;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(toAbortError(signal));
        if (this.#why === undefined) this.#connection.sendNotification("$/cancelRequest", { id }).catch(() => {});
      };
      signal.addEventListener("abort", onAbort, { once: true });
      sent.then(
        (result) => {
          signal.removeEventListener("abort", onAbort);
          resolve(result);
        },
        (error) => {
          signal.removeEventListener("abort", onAbort);
          reject(this.#toError(error));
        },
      );
    });
  }

  /** Whether the peer answers. Rejects with `DEADLINE_EXCEEDED` when it does not in time. */
  async ping(options: { readonly timeoutMs: number }): Promise<void> {
    await this.request("ping", [], AbortSignal.timeout(Math.ceil(options.timeoutMs)));
  }

  /** Ends the connection in order: what was written is sent first, for at most a second. */
  async close(): Promise<void> {
    if (this.#why !== undefined) return;
    this.#shut(new VdcError("UNAVAILABLE", "the connection was closed", { reason: "VDC_CONNECTION_CLOSED" }));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1000);
      this.#writable.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#destroy();
  }

  /** Ends the connection at once. */
  fail(why: VdcError): void {
    if (this.#why !== undefined) return;
    this.#shut(why);
    this.#destroy();
  }

  #shut(why: VdcError): void {
    this.#why = why;
    this.#reader.stop();
    const reason = new VdcError("CANCELLED", "the caller's connection was lost", { cause: why });
    for (const request of this.#serving.values()) request.controller.abort(reason);
    this.#serving.clear();
    this.#cancelledEarly.clear();
    this.#connection.dispose();
    this.#resolveClosed(why);
  }

  #destroy(): void {
    this.#readable.destroy();
    this.#writable.destroy();
  }

  #begin(id: string | number): RunningRequest {
    const request = new RunningRequest(id, this.#dispatchedBytes);
    this.#servingBytes += request.bytes;
    if (this.#cancelledEarly.delete(id)) request.cancel();
    this.#serving.set(id, request);
    return request;
  }

  #cancel(id: string | number): void {
    const running = this.#serving.get(id);
    if (running !== undefined) running.cancel();
    else if (this.#reader.isWaiting(id)) this.#cancelledEarly.add(id);
  }

  async #serve(handler: RequestHandler, args: unknown[]): Promise<unknown> {
    const request = args.pop() as RunningRequest;
    try {
      if (this.#serving.size > this.#maxCallsInFlight) {
        throw new VdcError(
          "RESOURCE_EXHAUSTED",
          `more than ${this.#maxCallsInFlight} calls are in flight on a connection`,
        );
      }
      if (this.#servingBytes > this.#maxBufferedBytes) {
        throw new VdcError(
          "RESOURCE_EXHAUSTED",
          `the calls in flight on a connection hold more than ${this.#maxBufferedBytes} bytes`,
        );
      }
      return await handler(args, request.controller.signal);
    } catch (error) {
      throw toResponseError(error);
    } finally {
      this.#servingBytes -= request.bytes;
      if (this.#serving.get(request.id) === request) this.#serving.delete(request.id);
    }
  }

  #toError(error: unknown): VdcError {
    return this.#why ?? fromResponseError(error);
  }

  readonly #rethrow = (error: unknown): never => {
    throw this.#toError(error);
  };
}

/** A peer's request that runs: `vscode-jsonrpc` sees a cancellation token, everything else an `AbortController`. */
class RunningRequest implements AbstractCancellationTokenSource {
  readonly id: string | number;
  /** The length of the request. */
  readonly bytes: number;
  readonly controller: AbortController = new AbortController();

  constructor(id: string | number, bytes: number) {
    this.id = id;
    this.bytes = bytes;
  }

  /** Handed to the handler as its last argument. */
  get token(): CancellationToken {
    return this as unknown as CancellationToken;
  }

  cancel(): void {
    this.controller.abort(new VdcError("CANCELLED", "the caller cancelled the call"));
  }

  dispose(): void {}
}

function lost(text: string, cause?: Error): VdcError {
  return new VdcError("UNAVAILABLE", `the connection was lost: ${text}`, {
    reason: "VDC_CONNECTION_LOST",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The reason of an aborted signal as an error: its own when that has a code, else `CANCELLED` or `DEADLINE_EXCEEDED`. */
export function toAbortError(signal: AbortSignal): VdcError {
  const error = toVdcError(signal.reason);
  return error.code === "UNKNOWN"
    ? new VdcError("CANCELLED", "the call was cancelled", { cause: signal.reason })
    : error;
}
