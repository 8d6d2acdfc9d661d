import type { Duplex } from "node:stream";
import { OvsdbError, type OvsdbErrorCode } from "../ovsdb-error.ts";
import { ActivityProbe } from "./activity-probe.ts";
import { JsonSplitter, type JsonSplitterOptions } from "./json-splitter.ts";
import { type RpcMessage, readRpcMessage, replyError } from "./rpc-message.ts";

export interface RpcConnectionOptions extends JsonSplitterOptions {
  /** The peer's name in error texts. */
  readonly remote: string;
  /** After how long without a byte from the peer an `echo` asks whether it lives; after as long again the connection is dropped. 0: never. */
  readonly probeIntervalMs: number;
  /** How long a message may take from its first byte to its last. */
  readonly messageTimeoutMs: number;
  /** How much may wait to be sent, in bytes. */
  readonly maxQueuedBytes: number;
  readonly onNotification: (method: string, params: readonly unknown[]) => void;
}

export interface RpcCallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /**
   * Called with the result before anything that the peer sent behind it is looked at. What it throws fails the call, and drops the connection when it says
   * that the peer broke the protocol.
   */
  readonly onResult?: (result: unknown) => void;
  /** What the call fails with when the connection ends before the reply. Defaults to `OVSDB_CLOSED`. */
  readonly lostCode?: OvsdbErrorCode;
  /** Called when the call is given up by a timeout or the signal, to tell the peer. */
  readonly onAbandon?: (id: number) => void;
}

interface Pending {
  readonly method: string;
  readonly options: RpcCallOptions;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: OvsdbError) => void;
  release(): void;
}

/** JSON-RPC 1.0 over a stream, with `echo` both ways (RFC 7047, section 4). Messages are handled strictly in the order in which they come. */
export class RpcConnection {
  /** Resolves, with the reason, when the connection has ended. */
  readonly closed: Promise<OvsdbError>;
  readonly #stream: Duplex;
  readonly #options: RpcConnectionOptions;
  readonly #splitter: JsonSplitter;
  readonly #probe: ActivityProbe;
  readonly #pending = new Map<number, Pending>();
  readonly #resolveClosed: (reason: OvsdbError) => void;
  #queue: string[] = [];
  #queuedBytes = 0;
  #flushing = false;
  #nextId = 1;
  #end: OvsdbError | undefined;

  constructor(stream: Duplex, options: RpcConnectionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#splitter = new JsonSplitter(options);
    const { promise, resolve } = Promise.withResolvers<OvsdbError>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.#probe = new ActivityProbe({
      probeIntervalMs: options.probeIntervalMs,
      messageTimeoutMs: options.messageTimeoutMs,
      sendProbe: () => this.#attempt(() => this.#send({ method: "echo", params: [], id: "echo" })),
      onSilence: (text) => this.close(this.#lost(text)),
    });
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    stream.on("close", this.#onEnd);
    stream.on("error", this.#onError);
  }

  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /** Sends a request and waits for its reply. Fails at once when the connection has ended. */
  call(method: string, params: readonly unknown[], options: RpcCallOptions): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = this.#nextId;
    this.#nextId += 1;
    const give = (code: OvsdbErrorCode, text: string, cause?: unknown): void => {
      const pending = this.#pending.get(id);
      if (pending === undefined) return;
      this.#pending.delete(id);
      pending.release();
      if (options.onAbandon !== undefined) this.#attempt(() => options.onAbandon?.(id));
      reject(new OvsdbError(code, text, { cause, details: this.#details(method) }));
    };
    const { signal } = options;
    if (signal?.aborted) {
      return Promise.reject(
        new OvsdbError("OVSDB_ABORTED", `'${method}' was aborted before it was sent.`, { cause: signal.reason }),
      );
    }
    try {
      this.#send({ method, params, id });
    } catch (error) {
      return Promise.reject(error);
    }
    const onAbort = (): void => give("OVSDB_ABORTED", `'${method}' was aborted.`, signal?.reason);
    const timer = setTimeout(
      () => give("OVSDB_TIMEOUT", `No answer to '${method}' within ${Math.round(options.timeoutMs)} ms.`),
      options.timeoutMs,
    );
    signal?.addEventListener("abort", onAbort);
    this.#pending.set(id, {
      method,
      options,
      resolve,
      reject,
      release: () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      },
    });
    return promise;
  }

  /** Sends a notification. */
  notify(method: string, params: readonly unknown[]): void {
    this.#send({ method, params, id: null });
  }

  /** Ends the connection. Calls that wait fail; `reason` is what `closed` resolves with. */
  close(reason: OvsdbError = new OvsdbError("OVSDB_CLOSED", "The connection was closed.")): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#probe.stop();
    this.#stream.off("data", this.#onData);
    // A stream may fail after its end; nobody waits for that.
    this.#stream.off("error", this.#onError).on("error", () => {});
    this.#stream.destroy();
    this.#queue = [];
    for (const { method, options, release, reject } of this.#pending.values()) {
      release();
      const code = options.lostCode ?? "OVSDB_CLOSED";
      reject(
        new OvsdbError(code, `The connection ended before the answer to '${method}': ${reason.message}`, {
          cause: reason,
          details: this.#details(method),
        }),
      );
    }
    this.#pending.clear();
    this.#resolveClosed(reason);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#probe.received();
    try {
      this.#splitter.push(chunk, (json) => {
        this.#probe.inMessage(false);
        if (this.#end === undefined) this.#receive(readRpcMessage(json));
      });
      this.#probe.inMessage(this.#splitter.inMessage);
    } catch (error) {
      this.close(
        error instanceof OvsdbError
          ? error
          : new OvsdbError("OVSDB_PROTOCOL", "A message could not be handled.", { cause: error }),
      );
    }
  };

  readonly #onEnd = (): void => this.close(this.#lost("the peer closed the connection"));

  readonly #onError = (error: Error): void => this.close(this.#lost(error.message, error));

  #receive(message: RpcMessage): void {
    switch (message.kind) {
      case "notification":
        this.#options.onNotification(message.method, message.params);
        return;
      case "request":
        if (message.method === "echo") this.#send({ result: message.params, error: null, id: message.id });
        else this.#send({ result: null, error: { error: "unknown method" }, id: message.id });
        return;
      case "reply":
        this.#receiveReply(message.id, message.result, message.error);
    }
  }

  #receiveReply(id: unknown, result: unknown, error: unknown): void {
    // An id that nobody waits for is that of an `echo`, or of a call that was given up.
    const pending = typeof id === "number" ? this.#pending.get(id) : undefined;
    if (pending === undefined) return;
    this.#pending.delete(id as number);
    pending.release();
    if (error !== null) {
      pending.reject(replyError(pending.method, error));
      return;
    }
    try {
      pending.options.onResult?.(result);
      pending.resolve(result);
    } catch (cause) {
      const failure =
        cause instanceof OvsdbError
          ? cause
          : new OvsdbError("OVSDB_PROTOCOL", "An answer could not be handled.", { cause });
      pending.reject(failure);
      if (failure.code === "OVSDB_PROTOCOL") throw failure;
    }
  }

  /** What is sent within one turn of the event loop goes out in one write. */
  #send(message: unknown): void {
    if (this.#end !== undefined) throw this.#end;
    const text = JSON.stringify(message);
    if (this.#stream.writableLength + this.#queuedBytes + text.length > this.#options.maxQueuedBytes) {
      throw new OvsdbError("OVSDB_BUSY", `More than ${this.#options.maxQueuedBytes} bytes wait to be sent.`, {
        details: { remote: this.#options.remote },
      });
    }
    this.#queue.push(text);
    this.#queuedBytes += text.length;
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#flushing = false;
      const batch = this.#queue.join("");
      this.#queue = [];
      this.#queuedBytes = 0;
      if (this.#end === undefined) this.#stream.write(batch);
    });
  }

  /** For what nobody waits for: a connection that can't send it is of no use. */
  #attempt(send: () => void): void {
    try {
      send();
    } catch (error) {
      if (error instanceof OvsdbError) this.close(error);
      else throw error;
    }
  }

  #lost(text: string, cause?: unknown): OvsdbError {
    return new OvsdbError("OVSDB_CLOSED", `Connection to '${this.#options.remote}' lost: ${text}.`, {
      cause,
      details: { remote: this.#options.remote },
    });
  }

  #details(method: string): { readonly method: string; readonly remote: string } {
    return { method, remote: this.#options.remote };
  }
}
