import { createServer, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { BufferPool } from "./buffer-pool.ts";
import { NbdError } from "../nbd-error.ts";
import { NbdExport, type NbdExportOptions } from "./nbd-export.ts";
import type { NbdConnection, NbdRequest } from "./request-interceptor.ts";
import type { TlsMode } from "./option-haggling.ts";
import { ServerConnection, type ServerConnectionLimits } from "./server-connection.ts";
import { type NbdServerTls, TlsAcceptor } from "./server-tls.ts";
import { listenOnUnixSocket } from "./unix-listener.ts";

export interface NbdServerOptions {
  /** The server's certificate, and whose clients it lets in. Without it there is no TLS. */
  readonly tls?: NbdServerTls;
  /** How many clients may be connected. Defaults to 256; one more is dropped at once. */
  readonly maxConnections?: number;
  /** How long a client may take to choose an export, in milliseconds. Defaults to 10_000. */
  readonly handshakeTimeoutMs?: number;
  /** Unfinished requests of one connection, beyond which no further one is read. Defaults to 256. */
  readonly maxInFlight?: number;
  /** Bytes of unfinished requests of one connection; one request may go over it. Defaults to 32 MiB. */
  readonly maxInFlightBytes?: number;
  /** Bytes of replies a client has left unread, beyond which nothing more is read; one may go over it. Defaults to 4 MiB. */
  readonly maxQueuedBytes?: number;
  /** Told of what a backend or interceptor failed with, and under which request. The client sees only an errno. */
  readonly onError?: (error: unknown, request: NbdRequest, connection: NbdConnection) => void;
}

export interface NbdListenOptions {
  /**
   * `required`: nothing is told to a client without TLS. `offered`: exports that are not `tlsOnly` are served without it, too.
   * `off`: there is none.
   */
  readonly tls?: TlsMode;
}

export interface NbdTcpOptions extends NbdListenOptions {
  /** The address to listen on. Defaults to 127.0.0.1: other machines cannot connect. */
  readonly host?: string;
}

export interface DrainOptions {
  readonly signal?: AbortSignal;
}

export interface CloseOptions {
  /** In milliseconds. Defaults to 250. */
  readonly graceMs?: number;
}

const MIB = 1024 * 1024;

/**
 * An NBD server: fixed newstyle, structured replies, metadata contexts, TLS, any number of exports and listeners.
 *
 * A unix socket is for its owner alone. On TCP, TLS is required unless `off` is asked for, and it is the client certificate alone that
 * says who somebody is; an interceptor's `open` can look at it and refuse an export.
 */
export class NbdServer {
  readonly #limits: ServerConnectionLimits;
  readonly #maxConnections: number;
  readonly #onError: (error: unknown, request: NbdRequest, connection: NbdConnection) => void;
  readonly #tls: TlsAcceptor | undefined;
  readonly #pool = new BufferPool(16 * MIB);
  readonly #exports = new Map<string, NbdExport>();
  readonly #connections = new Set<ServerConnection>();
  readonly #listeners = new Set<{ close(): Promise<void> }>();
  readonly #onEmpty: (() => void)[] = [];
  #nextId = 1;
  #draining = false;
  #closed = false;

  constructor(options: NbdServerOptions = {}) {
    this.#maxConnections = options.maxConnections ?? 256;
    this.#onError = options.onError ?? (() => {});
    this.#tls = options.tls && new TlsAcceptor(options.tls);
    this.#limits = {
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
      maxInFlight: options.maxInFlight ?? 256,
      maxInFlightBytes: options.maxInFlightBytes ?? 32 * MIB,
      maxQueuedBytes: options.maxQueuedBytes ?? 4 * MIB,
    };
  }

  /** The names of the exports. */
  get exportNames(): readonly string[] {
    return [...this.#exports.keys()];
  }

  /** The clients, those that have not chosen an export yet with an empty `exportName`. */
  get connections(): readonly NbdConnection[] {
    return [...this.#connections];
  }

  /** Offers a backend to clients. Fails with `NBD_INVALID_ARGUMENT` for a name that is taken or malformed. */
  addExport(options: NbdExportOptions): void {
    if (this.#exports.has(options.name)) {
      throw new NbdError("NBD_INVALID_ARGUMENT", `the server has an export '${options.name}' already`);
    }
    this.#exports.set(options.name, new NbdExport(options));
  }

  /**
   * Withdraws an export. From the call on no new request reaches the backend: its clients get `ESHUTDOWN`. Resolves when the backend
   * has finished what was in flight, after which it may be closed. The name is free at once. Unknown names are no error.
   */
  async removeExport(name: string, options: DrainOptions = {}): Promise<void> {
    const target = this.#exports.get(name);
    if (!target) return;
    this.#exports.delete(name);
    target.stop();
    await withSignal(target.idle(), options.signal, `the removal of the export '${name}'`);
  }

  /**
   * Listens on a unix socket of mode 0600, without TLS unless `tls` asks for it. A socket that nobody serves is replaced; one that is
   * served is `NBD_ADDRESS_IN_USE`. The path may have about 95 bytes.
   */
  async listenUnix(path: string, options: NbdListenOptions = {}): Promise<void> {
    const tls = this.#tlsMode(options.tls ?? "off");
    this.#assertOpen();
    this.#listeners.add(await listenOnUnixSocket(this.#createServer(tls), path));
  }

  /**
   * Listens on a TCP port (0 chooses one) of the loopback interface, or of `host`, and tells the port. TLS is `required` unless told
   * otherwise: without the server's option `tls` it fails with `NBD_INVALID_ARGUMENT` unless `off` is asked for.
   */
  async listenTcp(port: number, options: NbdTcpOptions = {}): Promise<number> {
    const { host = "127.0.0.1" } = options;
    const tls = this.#tlsMode(options.tls ?? "required");
    this.#assertOpen();
    const server = this.#createServer(tls);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const code = cause.code === "EADDRINUSE" ? "NBD_ADDRESS_IN_USE" : "NBD_INVALID_ARGUMENT";
        reject(new NbdError(code, `cannot listen on '${host}:${port}': ${cause.message}`, { cause }));
      });
      server.listen(port, host, resolve);
    });
    this.#listeners.add({ close: () => new Promise((resolve) => server.close(() => resolve())) });
    const address = server.address();
    return typeof address === "object" && address ? address.port : port;
  }

  /** Serves a client on a stream that is connected already, without TLS unless `tls` asks for it. */
  serve(socket: Duplex, options: NbdListenOptions = {}): void {
    this.#serve(socket, this.#tlsMode(options.tls ?? "off"), false);
  }

  #serve(socket: Duplex, tls: TlsMode, isFresh: boolean): void {
    if (this.#closed || this.#connections.size >= this.#maxConnections) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const connection = new ServerConnection({
      id: this.#nextId++,
      socket,
      isFresh,
      pool: this.#pool,
      limits: this.#limits,
      tls,
      acceptTls: (stream) => (this.#tls as TlsAcceptor).accept(stream),
      exports: () => this.#exports.values(),
      find: (name) => this.#exports.get(name),
      isShuttingDown: () => this.#draining,
      onError: this.#onError,
      onClosed: () => this.#forget(connection),
    });
    this.#connections.add(connection);
  }

  /**
   * Refuses every further request with `ESHUTDOWN` and every negotiation with `NBD_REP_ERR_SHUTDOWN`, and resolves when the backends
   * have finished what was in flight. Clients stay connected until `close`.
   */
  async drain(options: DrainOptions = {}): Promise<void> {
    this.#draining = true;
    const targets = [...this.#exports.values()];
    for (const target of targets) target.stop();
    await withSignal(Promise.all(targets.map((target) => target.idle())), options.signal, "the server's drain");
  }

  /**
   * Stops listening, refuses what is new, gives requests in flight and their answers `graceMs` (default 250) to finish, and drops what
   * is left. May be called twice.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    this.#closed = true;
    this.#draining = true;
    for (const target of this.#exports.values()) target.stop();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    const closing = listeners.map((listener) => listener.close());
    for (const connection of this.#connections) connection.end();
    if (this.#connections.size > 0) {
      const timer = setTimeout(() => {
        for (const connection of this.#connections) connection.destroy();
      }, options.graceMs ?? 250);
      await new Promise<void>((resolve) => {
        this.#onEmpty.push(resolve);
      });
      clearTimeout(timer);
    }
    await Promise.all(closing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #assertOpen(): void {
    if (this.#closed) throw new NbdError("NBD_CLOSED", "the server is closed");
  }

  #tlsMode(mode: TlsMode): TlsMode {
    if (mode === "off" || this.#tls) return mode;
    throw new NbdError(
      "NBD_INVALID_ARGUMENT",
      "the server has no certificate: pass it 'tls', or listen with tls 'off'",
    );
  }

  #createServer(tls: TlsMode): Server {
    // A client may shut down its sending side and still read replies.
    const isFresh = tls === "off";
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: isFresh };
    const server = createServer(options, (socket) => this.#serve(socket, tls, isFresh));
    // Failing to accept (no descriptor left, say) refuses one client and must not end the process.
    server.on("error", () => {});
    return server;
  }
}

async function withSignal(work: Promise<unknown>, signal: AbortSignal | undefined, what: string): Promise<void> {
  if (!signal) {
    await work;
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void =>
      reject(new NbdError("NBD_ABORTED", `${what} was aborted by its caller`, { cause: signal.reason }));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, reject);
  });
}
