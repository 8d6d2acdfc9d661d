import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { BufferPool } from "./buffer-pool.ts";
import { ByteReader } from "../wire/byte-reader.ts";
import type { NbdExport } from "./nbd-export.ts";
import { type NegotiatedExport, OptionHaggling, type TlsMode } from "./option-haggling.ts";
import { receiveInto } from "./receiving-socket.ts";
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

const MAX_QUEUED_HAGGLING_BYTES = 64 * 1024;

export interface ServerConnectionOptions {
  readonly id: number;
  readonly socket: Duplex;
  /** Whether nothing was read from the socket yet, and no other protocol comes between. */
  readonly isFresh: boolean;
  readonly pool: BufferPool;
  readonly limits: ServerConnectionLimits;
  readonly tls: TlsMode;
  /** Goes over to TLS; rejects for a client that cannot or may not. Not called where `tls` is `off`. */
  readonly acceptTls: (socket: Duplex) => Promise<TLSSocket>;
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
  readonly #reader = new ByteReader();
  /** The stream of the protocol: what the client connected on, or TLS on top of it. */
  #socket: Duplex;
  #writer: ReplyWriter | undefined;
  /** Ends a client that doesn't choose an export, or doesn't take its last replies. */
  #timer: NodeJS.Timeout;
  #haggling: OptionHaggling | undefined;
  #transmission: Transmission | undefined;
  #target: NbdExport | undefined;
  #peerCertificate: PeerCertificate | undefined;
  #isEncrypted = false;
  #ending = false;
  #isClosed = false;
  #running = false;
  #hasNews = false;
  #flushQueued = false;

  constructor(options: ServerConnectionOptions) {
    this.id = options.id;
    this.#options = options;
    const { limits } = options;
    const adopted =
      options.isFresh && options.socket instanceof Socket
        ? receiveInto(options.socket, this.#reader, () => {
            if (!this.#ending) this.#run();
          })
        : undefined;
    const socket = adopted ?? options.socket;
    this.#socket = socket;
    this.#timer = setTimeout(() => this.destroy(), limits.handshakeTimeoutMs);
    this.#haggling = new OptionHaggling(socket, {
      reader: this.#reader,
      tls: options.tls,
      exports: options.exports,
      find: options.find,
      admit: (target) => this.#admit(target),
      isShuttingDown: options.isShuttingDown,
    });
    // A client that breaks off is no fault of the server; `close` follows.
    socket.on("error", () => {});
    socket.on("close", () => this.#closed());
    this.#listen(socket, adopted === undefined);
    this.#haggling.greet();
    // It was accepted paused, or has been adopted.
    if (options.isFresh) socket.resume();
  }

  /** The chosen export's name; empty before. */
  get exportName(): string {
    return this.#target?.name ?? "";
  }

  /** The chosen export. */
  get target(): NbdExport | undefined {
    return this.#target;
  }

  get isEncrypted(): boolean {
    return this.#isEncrypted;
  }

  get peerCertificate(): PeerCertificate | undefined {
    return this.#peerCertificate;
  }

  destroy(): void {
    this.#socket.destroy();
    this.#options.socket.destroy();
  }

  /** Answers what is in flight, then ends the connection. */
  end(): void {
    this.#end();
  }

  #listen(socket: Duplex, takesChunks = true): void {
    if (takesChunks) socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
    socket.on("end", this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#ending) return;
    this.#reader.feed(chunk);
    this.#run();
  };

  readonly #onDrain = (): void => this.#run();

  readonly #onEnd = (): void => this.#end();

  #run(): void {
    // Streams within a process may deliver an answer to a write before it returns.
    this.#hasNews = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#hasNews && !this.#ending && !this.#socket.destroyed) {
        this.#hasNews = false;
        this.#step();
      }
    } finally {
      this.#running = false;
    }
  }

  #step(): void {
    const stop = this.#haggling ? this.#haggle(this.#haggling) : this.#transmit();
    if (stop === "drop") this.destroy();
    else if (stop === "end") this.#end();
    else if (stop === "tls") this.#startTls();
    else if (stop === "blocked") this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #haggle(haggling: OptionHaggling): "more" | "blocked" | "end" | "drop" | "tls" {
    for (;;) {
      // Its replies are many small objects, which take more than their bytes.
      const most = Math.min(this.#options.limits.maxQueuedBytes, MAX_QUEUED_HAGGLING_BYTES);
      if (this.#socket.writableLength >= most) return "blocked";
      const step = haggling.step();
      if (step === undefined) continue;
      if (typeof step === "string") return step;
      this.#begin(step);
      return this.#transmit();
    }
  }

  /** Hands the stream over to TLS and goes on haggling on top of it. */
  #startTls(): void {
    const plain = this.#socket;
    plain.off("data", this.#onData);
    plain.off("drain", this.#onDrain);
    plain.off("end", this.#onEnd);
    this.#options.acceptTls(plain).then(
      (secure) => {
        secure.on("error", () => {});
        secure.on("close", () => this.destroy());
        if (this.#ending || secure.destroyed) {
          this.destroy();
          return;
        }
        const certificate = secure.getPeerCertificate();
        this.#peerCertificate = certificate && Object.keys(certificate).length > 0 ? certificate : undefined;
        this.#isEncrypted = true;
        this.#socket = secure;
        this.#haggling?.encrypted(secure);
        this.#listen(secure);
      },
      () => this.destroy(),
    );
  }

  #begin(negotiated: NegotiatedExport): void {
    clearTimeout(this.#timer);
    const { limits, onError } = this.#options;
    this.#haggling = undefined;
    this.#writer = new ReplyWriter(this.#socket, this.#options.pool, () => this.#run());
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
    this.#writer?.flush();
    return stop === "disconnect" ? "end" : stop;
  }

  /** Answers that were awaited leave together at the end of the turn. */
  #finished(): void {
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      this.#writer?.flush();
      if (this.#ending) this.#end();
      else this.#run();
    });
  }

  #end(): void {
    this.#ending = true;
    if (this.#transmission && this.#transmission.inFlight > 0) return;
    this.#writer?.flush();
    if (this.#socket.writableEnded) return;
    // What the client still sends is thrown away, and its own end is not awaited.
    this.#socket.resume();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.destroy(), this.#options.limits.handshakeTimeoutMs);
    this.#socket.end(() => this.destroy());
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
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#ending = true;
    this.#socket.destroy();
    this.#target?.interceptor?.closed?.(this);
    this.#options.onClosed();
  }
}
