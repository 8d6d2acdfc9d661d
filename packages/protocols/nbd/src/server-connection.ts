import type { Duplex } from "node:stream";
import type { BufferPool } from "./buffer-pool.ts";
import { ByteReader } from "./byte-reader.ts";
import type { NbdExport } from "./nbd-export.ts";
import { type NegotiatedExport, OptionHaggling } from "./option-haggling.ts";
import { ReplyWriter } from "./reply-writer.ts";
import type { NbdConnection, NbdRequest } from "./request-interceptor.ts";
import { Transmission } from "./transmission.ts";

export interface ServerConnectionLimits {
  /** How long a client may take to choose an export, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** Unfinished requests of one connection. */
  readonly maxInFlight: number;
  /** Bytes of unfinished requests of one connection; one request may go over it. */
  readonly maxInFlightBytes: number;
  /** Bytes of replies that a client has not read; one reply may go over it. */
  readonly maxQueuedBytes: number;
}

export interface ServerConnectionOptions {
  readonly id: number;
  readonly socket: Duplex;
  readonly pool: BufferPool;
  readonly limits: ServerConnectionLimits;
  readonly exports: () => Iterable<NbdExport>;
  readonly find: (name: string) => NbdExport | undefined;
  readonly isShuttingDown: () => boolean;
  readonly onError: (error: unknown, request: NbdRequest, connection: NbdConnection) => void;
  readonly onClosed: () => void;
}

/**
 * One client. It reads no further while its client leaves too many replies unread or has too much in flight, so what it holds is
 * bounded by its limits, whatever the client does.
 */
export class ServerConnection implements NbdConnection {
  readonly id: number;
  readonly #options: ServerConnectionOptions;
  readonly #socket: Duplex;
  readonly #reader = new ByteReader();
  readonly #writer: ReplyWriter;
  /** Ends a client that doesn't choose an export, or doesn't take its last replies. */
  #timer: NodeJS.Timeout;
  #haggling: OptionHaggling | undefined;
  #transmission: Transmission | undefined;
  #target: NbdExport | undefined;
  #ending = false;
  #running = false;
  #flushQueued = false;

  constructor(options: ServerConnectionOptions) {
    this.id = options.id;
    this.#options = options;
    const { socket, limits } = options;
    this.#socket = socket;
    this.#writer = new ReplyWriter(socket, options.pool, () => this.#run());
    this.#timer = setTimeout(() => socket.destroy(), limits.handshakeTimeoutMs);
    this.#haggling = new OptionHaggling({
      socket,
      reader: this.#reader,
      exports: options.exports,
      find: options.find,
      admit: (target) => this.#admit(target),
      isShuttingDown: options.isShuttingDown,
    });
    socket.on("data", (chunk: Buffer) => {
      if (this.#ending) return;
      this.#reader.feed(chunk);
      this.#run();
    });
    socket.on("drain", () => this.#run());
    socket.on("end", () => this.#end());
    // A client that breaks off is no fault of the server; `close` follows.
    socket.on("error", () => {});
    socket.on("close", () => this.#closed());
    this.#haggling.greet();
  }

  /** The chosen export's name; empty before. */
  get exportName(): string {
    return this.#target?.name ?? "";
  }

  /** The chosen export. */
  get target(): NbdExport | undefined {
    return this.#target;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Answers what is in flight, then ends the connection. */
  end(): void {
    this.#end();
  }

  #run(): void {
    if (this.#running || this.#ending || this.#socket.destroyed) return;
    this.#running = true;
    try {
      const stop = this.#haggling ? this.#haggle(this.#haggling) : this.#transmit();
      if (stop === "drop") this.#socket.destroy();
      else if (stop === "end") this.#end();
      else if (stop === "blocked") this.#socket.pause();
      else if (this.#socket.isPaused()) this.#socket.resume();
    } finally {
      this.#running = false;
    }
  }

  #haggle(haggling: OptionHaggling): "more" | "blocked" | "end" | "drop" {
    for (;;) {
      if (this.#socket.writableLength >= this.#options.limits.maxQueuedBytes) return "blocked";
      const step = haggling.step();
      if (step === undefined) continue;
      if (typeof step === "string") return step;
      this.#begin(step);
      return this.#transmit();
    }
  }

  #begin(negotiated: NegotiatedExport): void {
    clearTimeout(this.#timer);
    const { limits, onError } = this.#options;
    this.#haggling = undefined;
    this.#transmission = new Transmission({
      reader: this.#reader,
      writer: this.#writer,
      negotiated,
      connection: this,
      maxInFlight: limits.maxInFlight,
      maxInFlightBytes: limits.maxInFlightBytes,
      maxQueuedBytes: limits.maxQueuedBytes,
      onFinished: () => this.#finished(),
      onError: (error, request) => onError(error, request, this),
    });
  }

  #transmit(): "more" | "blocked" | "end" | "drop" {
    const stop = this.#transmission?.run() ?? "drop";
    this.#writer.flush();
    return stop === "disconnect" ? "end" : stop;
  }

  /** Answers that were awaited leave together at the end of the turn. */
  #finished(): void {
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      this.#writer.flush();
      if (this.#ending) this.#end();
      else this.#run();
    });
  }

  #end(): void {
    this.#ending = true;
    if (this.#transmission && this.#transmission.inFlight > 0) return;
    this.#writer.flush();
    if (this.#socket.writableEnded) return;
    // What the client still sends is thrown away, and its own end is not awaited.
    this.#socket.resume();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#options.limits.handshakeTimeoutMs);
    this.#socket.end(() => this.#socket.destroy());
  }

  #admit(target: NbdExport): boolean {
    this.#target = target;
    try {
      target.interceptor?.open?.(this);
      return true;
    } catch {
      this.#target = undefined;
      return false;
    }
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#ending = true;
    this.#target?.interceptor?.closed?.(this);
    this.#options.onClosed();
  }
}
