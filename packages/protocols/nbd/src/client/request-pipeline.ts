import type { Duplex } from "node:stream";
import { errnoName } from "../wire/errno.ts";
import { NbdError } from "../nbd-error.ts";
import { type AwaitedReply, ReplyParser } from "./reply-parser.ts";
import * as wire from "../wire/wire-constants.ts";

/** The descriptors of a block status, by the id of their context. */
export type StatusPayloads = ReadonlyMap<number, Buffer>;

interface Pending extends AwaitedReply {
  readonly startedAt: number;
  readonly resolve: (status: StatusPayloads | undefined) => void;
  reject: ((error: NbdError) => void) | undefined;
  readonly detach: () => void;
}

/** One request as it goes to the server: it must fit in one. */
export interface OutgoingRequest {
  readonly command: number;
  readonly offset: number;
  readonly length: number;
  readonly flags?: number;
  readonly target?: Buffer;
  readonly source?: Buffer;
  readonly signal?: AbortSignal | undefined;
}

const NAMES = ["read", "write", "disconnect", "flush", "trim", "cache", "write zeroes", "block status", "resize"];

/**
 * The requests in flight on a negotiated connection: sends them, matches the answers, and fails all that wait when the connection ends
 * or the server falls silent.
 */
export class RequestPipeline {
  /** Resolves when the connection has ended: undefined after `close()`, else the reason. Never rejects. */
  readonly closed: Promise<NbdError | undefined>;

  readonly #socket: Duplex;
  readonly #parser: ReplyParser;
  readonly #pending = new Map<number, Pending>();
  readonly #watchdog: NodeJS.Timeout;
  #cookie = 0;
  #corked = false;
  #ended: NbdError | undefined;
  #resolveClosed: (reason: NbdError | undefined) => void = () => {};

  constructor(socket: Duplex, structured: boolean, requestTimeoutMs: number) {
    this.#socket = socket;
    this.#parser = new ReplyParser({
      structured,
      find: (cookie) => this.#pending.get(cookie),
      finish: (cookie) => this.#finish(cookie),
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        if (!this.#ended) this.#parser.push(chunk);
      } catch (cause) {
        this.#end(cause instanceof NbdError ? cause : new NbdError("NBD_PROTOCOL", String(cause), { cause }));
      }
    });
    socket.on("error", (cause) =>
      this.#end(new NbdError("NBD_CLOSED", `the connection failed: ${cause.message}`, { cause })),
    );
    const onEnd = (): void => this.#end(new NbdError("NBD_CLOSED", "the server ended the connection"));
    socket.on("end", onEnd);
    socket.on("close", onEnd);
    // One timer for all requests: a timer each would cost more than the request.
    this.#watchdog = setInterval(() => this.#watch(requestTimeoutMs), Math.max(1, requestTimeoutMs / 4)).unref();
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /**
   * Sends a request. Resolves with its answer, which holds something for a block status only, and fails with a coded error: the server's,
   * the caller's abort, or the end of the connection.
   */
  send(send: OutgoingRequest): Promise<StatusPayloads | undefined> {
    const { command, offset, length, target, signal } = send;
    const name = NAMES[command] as string;
    if (this.#ended) return Promise.reject(closedError(name, this.#ended));
    const abortedError = (): NbdError =>
      new NbdError("NBD_ABORTED", `a ${name} was aborted by its caller`, { cause: signal?.reason });
    if (signal?.aborted) return Promise.reject(abortedError());
    return new Promise((resolve, reject) => {
      do this.#cookie = (this.#cookie + 1) >>> 0;
      while (this.#pending.has(this.#cookie));
      const pending: Pending = {
        command,
        offset,
        length,
        target,
        received: 0,
        errno: 0,
        text: "",
        status: undefined,
        startedAt: performance.now(),
        resolve,
        reject,
        detach: () => signal?.removeEventListener("abort", onAbort),
      };
      // The answer still comes; it is taken off the stream and thrown away.
      const onAbort = (): void => {
        pending.target = undefined;
        pending.reject = undefined;
        reject(abortedError());
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(this.#cookie, pending);
      this.#write(send, this.#cookie);
    });
  }

  /** Ends the connection for an answer that breaks the protocol. Returns the error to throw. */
  broken(what: string): NbdError {
    const error = new NbdError("NBD_PROTOCOL", `the server sent ${what}`);
    this.#end(error);
    return error;
  }

  /** Says goodbye and closes. What is in flight fails with `NBD_CLOSED`: await it first. May be called twice. */
  async close(): Promise<void> {
    if (!this.#ended) {
      this.#ended = new NbdError("NBD_CLOSED", "the client is closed");
      this.#write({ command: wire.CMD_DISC, offset: 0, length: 0 }, 0);
      this.#fail(this.#ended);
      await new Promise<void>((resolve) => {
        // A server that takes nothing more must not hold its client.
        const timer = setTimeout(resolve, 1000);
        this.#socket.once("close", () => {
          clearTimeout(timer);
          resolve();
        });
        this.#socket.end();
      });
      this.#socket.destroy();
      this.#resolveClosed(undefined);
    }
    await this.closed;
  }

  #write({ command, offset, length, flags = 0, source }: OutgoingRequest, cookie: number): void {
    const head = Buffer.allocUnsafe(wire.REQUEST_BYTES);
    head.writeUInt32BE(wire.REQUEST_MAGIC, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(command, 6);
    head.writeUInt32BE(0, 8);
    head.writeUInt32BE(cookie, 12);
    head.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), 16);
    head.writeUInt32BE(offset % 0x1_0000_0000, 20);
    head.writeUInt32BE(length, 24);
    if (!this.#corked) {
      // The requests of one turn leave together.
      this.#corked = true;
      this.#socket.cork();
      queueMicrotask(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(head);
    if (source) this.#socket.write(source);
  }

  #finish(cookie: number): void {
    const pending = this.#pending.get(cookie) as Pending;
    this.#pending.delete(cookie);
    pending.detach();
    if (pending.errno === 0) {
      pending.resolve(pending.status);
      return;
    }
    const errno = errnoName(pending.errno);
    const text = `the server failed a ${NAMES[pending.command]} of ${pending.length} bytes at ${pending.offset} with ${errno}`;
    const detail = pending.text === "" ? "" : `: ${pending.text}`;
    pending.reject?.(new NbdError("NBD_REQUEST_FAILED", `${text}${detail}`, { errno }));
  }

  #watch(requestTimeoutMs: number): void {
    // The map keeps the order of sending, so the first entry is the oldest.
    const oldest = this.#pending.values().next().value;
    if (oldest && performance.now() - oldest.startedAt > requestTimeoutMs) {
      const text = `the server did not answer a ${NAMES[oldest.command]} in ${requestTimeoutMs} ms`;
      this.#end(new NbdError("NBD_TIMEOUT", text));
    }
  }

  #end(reason: NbdError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#socket.destroy();
    this.#fail(reason);
    this.#resolveClosed(reason);
  }

  #fail(reason: NbdError): void {
    clearInterval(this.#watchdog);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { command, detach, reject } of pending) {
      detach();
      const text = `the connection ended while a ${NAMES[command]} was in flight: ${reason.message}`;
      reject?.(new NbdError(reason.code, text, { cause: reason }));
    }
  }
}

function closedError(name: string, cause: NbdError): NbdError {
  return new NbdError("NBD_CLOSED", `a ${name} was not sent: the connection is closed`, { cause });
}
