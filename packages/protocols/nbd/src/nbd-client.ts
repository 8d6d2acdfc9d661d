import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { BlockExtent } from "./block-backend.ts";
import { type ClientHandshakeOptions, type GrantedExport, runClientHandshake } from "./client-handshake.ts";
import { errnoName } from "./errno.ts";
import { NbdError } from "./nbd-error.ts";
import { type AwaitedReply, ReplyParser } from "./reply-parser.ts";
import * as wire from "./wire-constants.ts";

/** Where a server listens: a unix socket's path, a TCP address, or a stream that is connected already. */
export type NbdAddress = string | { readonly host: string; readonly port: number } | Duplex;

export interface NbdConnectOptions {
  /** Defaults to the empty name, the server's default export. */
  readonly exportName?: string;
  readonly signal?: AbortSignal;
  /** How long connecting and negotiating may take together, in milliseconds. Defaults to 10_000. */
  readonly timeoutMs?: number;
  /** How long the oldest request may go unanswered before the connection is given up, in milliseconds. Defaults to 60_000. */
  readonly requestTimeoutMs?: number;
  /** Asks for structured replies, without which there is no block status. Defaults to true. */
  readonly structured?: boolean;
}

export interface NbdRequestOptions {
  /** Gives up waiting with `NBD_ABORTED`. A change may still take effect. */
  readonly signal?: AbortSignal;
}

export interface NbdWriteOptions extends NbdRequestOptions {
  /** Answers only once the data is on stable storage. Defaults to false. */
  readonly fua?: boolean;
}

export interface NbdWriteZeroesOptions extends NbdWriteOptions {
  /** Keeps the range allocated. Defaults to false. */
  readonly noHole?: boolean;
}

interface Pending extends AwaitedReply {
  readonly startedAt: number;
  readonly resolve: (status: Buffer | undefined) => void;
  reject: ((error: NbdError) => void) | undefined;
  readonly detach: () => void;
}

interface Send {
  readonly command: number;
  readonly offset: number;
  readonly length: number;
  readonly flags?: number;
  readonly target?: Buffer;
  readonly source?: Buffer;
  readonly signal?: AbortSignal | undefined;
}

const NAMES = ["read", "write", "disconnect", "flush", "trim", "cache", "write zeroes", "block status"];
/** The longest range of a request without payload that fits its field and stays aligned. */
const MAX_RANGE_BYTES = 0x8000_0000;

/**
 * A connection to one export. Requests are pipelined: issue as many as memory allows, await them in any order; larger ones than the
 * server takes are split. It has the methods of a `BlockBackend`, so a server can export it again.
 *
 * Once the connection ends every request fails with a coded error and `closed` resolves.
 */
export class NbdClient {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** True when a flush on one connection covers the writes of all, so that several connections may be used together. */
  readonly canMultiConnect: boolean;
  readonly canTrim: boolean;
  readonly canWriteZeroes: boolean;
  /** True when block status is available: structured replies and `base:allocation` were granted. */
  readonly canBlockStatus: boolean;
  /** Resolves when the connection has ended: undefined after `close()`, else the reason. Never rejects. */
  readonly closed: Promise<NbdError | undefined>;

  readonly #socket: Duplex;
  readonly #granted: GrantedExport;
  readonly #parser: ReplyParser;
  readonly #pending = new Map<number, Pending>();
  readonly #watchdog: NodeJS.Timeout;
  #cookie = 0;
  #corked = false;
  #ended: NbdError | undefined;
  #resolveClosed: (reason: NbdError | undefined) => void = () => {};

  private constructor(socket: Duplex, granted: GrantedExport, requestTimeoutMs: number) {
    const has = (flag: number): boolean => (granted.flags & flag) !== 0;
    this.sizeBytes = granted.sizeBytes;
    this.readOnly = has(wire.FLAG_READ_ONLY);
    this.canMultiConnect = has(wire.FLAG_CAN_MULTI_CONN);
    this.canTrim = has(wire.FLAG_SEND_TRIM);
    this.canWriteZeroes = has(wire.FLAG_SEND_WRITE_ZEROES);
    this.canBlockStatus = granted.allocationId !== undefined;
    this.#socket = socket;
    this.#granted = granted;
    this.#parser = new ReplyParser({
      structured: granted.structured,
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

  /** Connects and negotiates. On failure nothing is left behind. */
  static async connect(address: NbdAddress, options: NbdConnectOptions = {}): Promise<NbdClient> {
    const { signal, exportName = "", timeoutMs = 10_000, structured = true } = options;
    if (Buffer.byteLength(exportName) > wire.MAX_STRING_BYTES) {
      throw new NbdError("NBD_INVALID_ARGUMENT", `an export's name has at most ${wire.MAX_STRING_BYTES} bytes`);
    }
    const what = `the connection to the export '${exportName}'`;
    if (signal?.aborted)
      throw new NbdError("NBD_ABORTED", `${what} was aborted by its caller`, { cause: signal.reason });
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    const socket = openStream(address);
    socket.on("error", () => {});
    const givenUp = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new NbdError("NBD_TIMEOUT", `${what} was not made in ${timeoutMs} ms`)),
        timeoutMs,
      );
      onAbort = () =>
        reject(new NbdError("NBD_ABORTED", `${what} was aborted by its caller`, { cause: signal?.reason }));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
    try {
      const requestTimeoutMs = options.requestTimeoutMs ?? 60_000;
      // Made within the event that ends the handshake, so that no event of the socket falls between the two.
      const establishing = establish(socket, address, {
        exportName,
        structured,
        onGranted: (granted) => new NbdClient(socket, granted, requestTimeoutMs),
      });
      return await Promise.race([establishing, givenUp]);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      if (onAbort) signal?.removeEventListener("abort", onAbort);
    }
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** True when a flush covers the writes of every connection; the name under which a `BlockBackend` says so. */
  get sharedFlush(): boolean {
    return this.canMultiConnect;
  }

  /** Fills the whole of `target` from `offset`. */
  read(target: Buffer, offset: number, options: NbdRequestOptions = {}): Promise<void> {
    return this.#split(target.length, offset, this.#granted.maxPayloadBytes, (at, length) =>
      this.#send({
        command: wire.CMD_READ,
        offset: offset + at,
        length,
        target: target.subarray(at, at + length),
        signal: options.signal,
      }),
    );
  }

  /** Writes the whole of `source` at `offset`. It must not be changed before the answer. */
  write(source: Buffer, offset: number, options: NbdWriteOptions = {}): Promise<void> {
    return this.#split(source.length, offset, this.#granted.maxPayloadBytes, (at, length) =>
      this.#send({
        command: wire.CMD_WRITE,
        offset: offset + at,
        length,
        flags: this.#fua(options),
        source: source.subarray(at, at + length),
        signal: options.signal,
      }),
    );
  }

  /** Answers once all writes answered before are on stable storage. Answers at once where the server has no flush. */
  async flush(options: NbdRequestOptions = {}): Promise<void> {
    if ((this.#granted.flags & wire.FLAG_SEND_FLUSH) === 0) return;
    await this.#send({ command: wire.CMD_FLUSH, offset: 0, length: 0, signal: options.signal });
  }

  /** Gives up the contents of a range. Fails with `NBD_UNSUPPORTED` where `canTrim` is false. */
  async trim(offset: number, length: number, options: NbdWriteOptions = {}): Promise<void> {
    if (!this.canTrim) throw unsupported("trim");
    await this.#range(wire.CMD_TRIM, offset, length, this.#fua(options), options.signal);
  }

  /** Makes a range read as zeroes. Fails with `NBD_UNSUPPORTED` where `canWriteZeroes` is false. */
  async writeZeroes(offset: number, length: number, options: NbdWriteZeroesOptions = {}): Promise<void> {
    if (!this.canWriteZeroes) throw unsupported("write zeroes");
    const flags = this.#fua(options) | (options.noHole ? wire.CMD_FLAG_NO_HOLE : 0);
    await this.#range(wire.CMD_WRITE_ZEROES, offset, length, flags, options.signal);
  }

  /**
   * The extents from `offset` on. The server may describe less than `length` bytes, but at least one extent.
   * Fails with `NBD_UNSUPPORTED` where `canBlockStatus` is false.
   */
  async blockStatus(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    if (!this.canBlockStatus) throw unsupported("block status");
    const asked = Math.min(length, MAX_RANGE_BYTES);
    const send = { command: wire.CMD_BLOCK_STATUS, offset, length: asked, signal: options.signal };
    const payload = await this.#send(send);
    const extents: BlockExtent[] = [];
    let left = asked;
    if (!payload || payload.readUInt32BE(0) !== this.#granted.allocationId) {
      throw this.#broken("a status of another context");
    }
    for (let at = 4; at < payload.length && left > 0; at += 8) {
      const bytes = payload.readUInt32BE(at);
      if (bytes === 0) throw this.#broken("an empty extent");
      // The last extent may reach further than what was asked.
      extents.push({ length: Math.min(bytes, left), kind: kindOf(payload.readUInt32BE(at + 4)) });
      left -= bytes;
    }
    return extents;
  }

  /** All extents of a range: `blockStatus` as often as it takes. */
  async extents(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    const all: BlockExtent[] = [];
    for (let at = offset; at < offset + length; ) {
      for (const extent of await this.blockStatus(at, offset + length - at, options)) {
        at += extent.length;
        const last = all.at(-1);
        if (last?.kind === extent.kind) all[all.length - 1] = { ...last, length: last.length + extent.length };
        else all.push(extent);
      }
    }
    return all;
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fua(options: NbdWriteOptions): number {
    if (!options.fua) return 0;
    if ((this.#granted.flags & wire.FLAG_SEND_FUA) === 0) throw unsupported("FUA");
    return wire.CMD_FLAG_FUA;
  }

  async #range(command: number, offset: number, length: number, flags: number, signal?: AbortSignal): Promise<void> {
    await this.#split(length, offset, MAX_RANGE_BYTES, (at, bytes) =>
      this.#send({ command, offset: offset + at, length: bytes, flags, signal }),
    );
  }

  async #split(
    length: number,
    offset: number,
    most: number,
    send: (at: number, length: number) => Promise<unknown>,
  ): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0 || !(length >= 0) || offset + length > this.sizeBytes) {
      const text = `the range of ${length} bytes at ${offset} is not within the export's ${this.sizeBytes} bytes`;
      throw new NbdError("NBD_INVALID_ARGUMENT", text);
    }
    if (length <= most) {
      if (length > 0) await send(0, length);
      return;
    }
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < length; at += most) parts.push(send(at, Math.min(most, length - at)));
    await Promise.all(parts);
  }

  #send(send: Send): Promise<Buffer | undefined> {
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

  #write({ command, offset, length, flags = 0, source }: Send, cookie: number): void {
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

  #broken(what: string): NbdError {
    const error = new NbdError("NBD_PROTOCOL", `the server sent ${what}`);
    this.#end(error);
    return error;
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

function isStream(address: NbdAddress): address is Duplex {
  return typeof address === "object" && "write" in address;
}

function openStream(address: NbdAddress): Duplex {
  if (isStream(address)) return address;
  if (typeof address === "string") return connect(address);
  return connect({ port: address.port, host: address.host, noDelay: true });
}

async function establish<T>(
  socket: Duplex,
  address: NbdAddress,
  options: ClientHandshakeOptions & { readonly onGranted: (granted: GrantedExport) => T },
): Promise<T> {
  if (!isStream(address)) {
    const where = typeof address === "string" ? address : `${address.host}:${address.port}`;
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error): void =>
        reject(new NbdError("NBD_CONNECT_FAILED", `no server answers at '${where}': ${cause.message}`, { cause }));
      socket.once("error", onError);
      socket.once("connect", () => {
        socket.off("error", onError);
        resolve();
      });
    });
  }
  return runClientHandshake(socket, options, options.onGranted);
}

function kindOf(state: number): BlockExtent["kind"] {
  // A hole that does not read as zeroes may hold anything.
  if ((state & wire.STATE_ZERO) === 0) return "data";
  return (state & wire.STATE_HOLE) === 0 ? "zero" : "hole";
}

function unsupported(what: string): NbdError {
  return new NbdError("NBD_UNSUPPORTED", `the server does not offer ${what} for this export`);
}

function closedError(name: string, cause: NbdError): NbdError {
  return new NbdError("NBD_CLOSED", `a ${name} was not sent: the connection is closed`, { cause });
}
