import type { Duplex } from "node:stream";
import { abortedError, armDeadline } from "./deadline.ts";
import { EventListeners, type QmpWaitOptions } from "./event-listeners.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { QmpArguments, QmpCommandName, QmpResult, VersionInfo } from "./qmp-commands.ts";
import { QmpError } from "./qmp-error.ts";
import type { QmpEvent, QmpEventName } from "./qmp-events.ts";
import { parseQmpMessage, type QmpGreeting, type QmpMessage } from "./qmp-message.ts";

export interface QmpClientOptions {
  /** The longest line taken from the peer, in bytes. Defaults to 16 MiB. */
  readonly maxLineBytes?: number;
  /** How many commands may be in flight. Defaults to 1024; one more fails with `QMP_BUSY`. */
  readonly maxPending?: number;
  /** How long a command may take when its call doesn't say, in milliseconds. Defaults to 30_000. */
  readonly commandTimeoutMs?: number;
  /** Negotiates out-of-band execution where the server offers it. Defaults to false. */
  readonly outOfBand?: boolean;
  /** Gets what a listener threw. Defaults to a process warning: one listener's fault must not stop the others. */
  readonly onListenerError?: (error: unknown, event: QmpEvent) => void;
}

export interface QmpHandshakeOptions extends QmpClientOptions {
  readonly signal?: AbortSignal;
  /** How long the greeting and the negotiation may take together, in milliseconds. Defaults to 10_000. */
  readonly timeoutMs?: number;
}

export interface QmpExecuteOptions {
  /** Gives up waiting with `QMP_ABORTED`. The command may still take effect: QMP has no cancellation. */
  readonly signal?: AbortSignal;
  /** Gives up waiting with `QMP_TIMEOUT`, in milliseconds. Defaults to the client's `commandTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Executes ahead of the queue (`exec-oob`). Needs `outOfBand` in the client's options. */
  readonly outOfBand?: boolean;
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpError) => void;
}

const MIB = 1024 * 1024;

/**
 * A connection to a QMP server, past its capabilities negotiation.
 *
 * Answers are matched to commands by id, so calls may overlap. Once the connection ends, for whatever reason, every call and wait in
 * flight fails with a coded error, `closed` resolves, and later calls fail with `QMP_CLOSED`: nothing hangs.
 *
 * Gotchas: integers beyond 2^53 in an answer are rounded, as `JSON.parse` does. File descriptors can't be passed (Node can't send them).
 */
export class QmpClient {
  /** Resolves when the connection has ended: undefined after `close()` or when the peer left, else the reason. Never rejects. */
  readonly closed: Promise<QmpError | undefined>;

  readonly #stream: Duplex;
  readonly #splitter: LineSplitter;
  readonly #maxPending: number;
  readonly #commandTimeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  readonly #events: EventListeners;
  readonly #greeted = Promise.withResolvers<QmpGreeting>();
  #nextId = 1;
  #greeting: QmpGreeting | undefined;
  #outOfBand = false;
  #ended: QmpError | undefined;
  #resolveClosed: (reason: QmpError | undefined) => void = () => {};

  private constructor(stream: Duplex, options: QmpClientOptions) {
    this.#stream = stream;
    this.#splitter = new LineSplitter(options.maxLineBytes ?? 16 * MIB);
    this.#maxPending = options.maxPending ?? 1024;
    this.#commandTimeoutMs = options.commandTimeoutMs ?? 30_000;
    this.#events = new EventListeners(
      options.onListenerError ??
        ((error, event) => process.emitWarning(`a listener of the QMP event '${event.event}' threw: ${String(error)}`)),
    );
    this.#greeted.promise.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("error", (cause: NodeJS.ErrnoException) => {
      // QEMU that leaves with a byte of ours unread resets the connection; that is an end like any other.
      const isEnd = cause.code === "ECONNRESET" || cause.code === "EPIPE";
      this.#end(isEnd ? undefined : new QmpError("QMP_CLOSED", `the connection failed: ${cause.message}`, { cause }));
    });
    stream.on("end", () => this.#end(undefined));
    stream.on("close", () => this.#end(undefined));
  }

  /** Awaits the greeting on a connected stream and leaves negotiation mode. On failure the stream is destroyed. */
  static async handshake(stream: Duplex, options: QmpHandshakeOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(stream, options);
    const timeoutMs = options.timeoutMs ?? 10_000;
    const startedAt = performance.now();
    try {
      const greeting = await client.#awaitGreeting(options.signal, timeoutMs);
      const enable = options.outOfBand === true && greeting.capabilities.includes("oob") ? ["oob"] : [];
      await client.execute("qmp_capabilities", enable.length > 0 ? { enable } : undefined, {
        ...(options.signal ? { signal: options.signal } : {}),
        timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedAt)),
      });
      client.#outOfBand = enable.length > 0;
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** The server's version, from its greeting. */
  get version(): VersionInfo {
    return this.#known().version;
  }

  /** The capabilities that the server offered. */
  get capabilities(): readonly string[] {
    return this.#known().capabilities;
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** How many commands wait for their answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * Executes a command and answers its result.
   *
   * Fails with `QMP_COMMAND_FAILED` when QEMU refuses it (class and text in `details`), `QMP_TIMEOUT`, `QMP_ABORTED`, `QMP_CLOSED`,
   * `QMP_BUSY`, or `QMP_INVALID_ARGUMENT` when the arguments are not JSON.
   */
  execute<C extends QmpCommandName>(
    command: C,
    args?: QmpArguments<C>,
    options: QmpExecuteOptions = {},
  ): Promise<QmpResult<C>> {
    const what = `the QMP command '${command}'`;
    const details = { command };
    if (this.#ended) return Promise.reject(this.#closedError(what));
    if (options.signal?.aborted) return Promise.reject(abortedError(what, options.signal));
    if (this.#pending.size >= this.#maxPending) {
      const text = `${what} was not sent: ${this.#pending.size} commands are in flight already`;
      return Promise.reject(new QmpError("QMP_BUSY", text, { details }));
    }
    if (options.outOfBand && !this.#outOfBand) {
      const text = `${what} was not sent: out-of-band execution was not negotiated`;
      return Promise.reject(new QmpError("QMP_INVALID_ARGUMENT", text, { details }));
    }
    const id = this.#nextId++;
    let line: string;
    try {
      const verb = options.outOfBand ? "exec-oob" : "execute";
      line = `${JSON.stringify({ [verb]: command, arguments: args, id })}\n`;
    } catch (cause) {
      const text = `${what} was not sent: its arguments are not JSON`;
      return Promise.reject(new QmpError("QMP_INVALID_ARGUMENT", text, { cause, details }));
    }
    return new Promise((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? this.#commandTimeoutMs;
      // An answer that comes after the deadline finds no entry and is dropped.
      const disarm = armDeadline({ signal: options.signal, timeoutMs, what }, (error) => {
        this.#pending.delete(id);
        reject(error);
      });
      this.#pending.set(id, {
        command,
        resolve: (value) => {
          disarm();
          // The peer's answer is trusted to follow the schema of the QEMU that was started.
          resolve(value as QmpResult<C>);
        },
        reject: (error) => {
          disarm();
          reject(error);
        },
      });
      this.#stream.write(line);
    });
  }

  /** Calls `listener` for every event of that name, in the order of arrival. The result ends the subscription. */
  on<N extends QmpEventName>(name: N, listener: (event: QmpEvent<N>) => void): () => void {
    return this.#events.addFor(name, listener);
  }

  /** Calls `listener` for every event, whatever its name. The result ends the subscription. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    return this.#events.add(listener);
  }

  /**
   * Awaits the next matching event. Past events are not kept: start the wait before the command that causes the event.
   * Fails with `QMP_TIMEOUT`, `QMP_ABORTED` or `QMP_CLOSED`.
   */
  waitForEvent<N extends QmpEventName>(name: N, options: QmpWaitOptions<N> = {}): Promise<QmpEvent<N>> {
    const what = `the wait for the QMP event '${name}'`;
    if (this.#ended) return Promise.reject(this.#closedError(what));
    return this.#events.next(name, { ...options, what });
  }

  /** Closes the connection; what is in flight fails with `QMP_CLOSED`. QEMU itself goes on. May be called twice. */
  close(): void {
    this.#end(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #known(): QmpGreeting {
    if (!this.#greeting) throw new QmpError("QMP_PROTOCOL", "the server has not greeted yet");
    return this.#greeting;
  }

  #awaitGreeting(signal: AbortSignal | undefined, timeoutMs: number): Promise<QmpGreeting> {
    const what = "the wait for the QMP greeting";
    if (signal?.aborted) return Promise.reject(abortedError(what, signal));
    return new Promise((resolve, reject) => {
      const disarm = armDeadline({ signal, timeoutMs, what }, reject);
      void this.#greeted.promise.finally(disarm).then(resolve, reject);
    });
  }

  #receive(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      this.#splitter.push(chunk, (line) => {
        if (!this.#ended) this.#dispatch(parseQmpMessage(line));
      });
    } catch (error) {
      this.#end(error instanceof QmpError ? error : new QmpError("QMP_PROTOCOL", String(error), { cause: error }));
    }
  }

  #dispatch(message: QmpMessage): void {
    if (message.kind === "greeting") {
      if (this.#greeting) throw new QmpError("QMP_PROTOCOL", "the peer greeted twice");
      this.#greeting = message.greeting;
      this.#greeted.resolve(message.greeting);
      return;
    }
    if (!this.#greeting) throw new QmpError("QMP_PROTOCOL", "the peer did not greet before its first message");
    if (message.kind === "event") {
      this.#events.tell(message.event);
      return;
    }
    const { id } = message;
    if (typeof id !== "number") throw new QmpError("QMP_PROTOCOL", "the peer sent an answer without its command's id");
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    if (message.kind === "return") {
      pending.resolve(message.value);
      return;
    }
    const text = `QEMU refused the command '${pending.command}': ${message.class}: ${message.desc}`;
    const details = { command: pending.command, class: message.class, desc: message.desc };
    pending.reject(new QmpError("QMP_COMMAND_FAILED", text, { details }));
  }

  #closedError(what: string): QmpError {
    return new QmpError("QMP_CLOSED", `${what} was not sent: the connection is closed`, { cause: this.#ended });
  }

  #end(reason: QmpError | undefined): void {
    if (this.#ended) return;
    this.#ended = reason ?? new QmpError("QMP_CLOSED", "the connection is closed");
    this.#stream.destroy();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { command, reject } of pending) {
      const text = `the connection ended while the QMP command '${command}' was in flight`;
      const code = reason?.code ?? "QMP_CLOSED";
      reject(new QmpError(code, text, { details: { command }, cause: reason }));
    }
    this.#greeted.reject(this.#ended);
    this.#events.end(this.#ended);
    this.#resolveClosed(reason);
  }
}
