import type { Duplex } from "node:stream";
import { hello, speaksOurVersion } from "../messages/hello.ts";
import { OpenFlowError, type OpenFlowErrorCode } from "../openflow-error.ts";
import { parseRefusal } from "../refusal/openflow-refusal.ts";
import { encodeMessage, type Message, messageType, setTransactionId } from "../wire/message.ts";
import { MessageSplitter } from "../wire/message-splitter.ts";
import { type CallOptions, type WithinOptions, within } from "./deadline.ts";

/** What a connection does by itself. */
export interface ConnectionSettings {
  /** How the switch is named in errors. Defaults to `the switch`. */
  readonly name?: string;
  /** How long the hello and each answer may take where a call does not say, in milliseconds. Defaults to `5_000`. */
  readonly timeoutMs?: number;
  /** After how long a silent switch is asked whether it is there, in milliseconds. It has `timeoutMs` to answer. Defaults to `5_000`. */
  readonly probeIntervalMs?: number;
  /** How much may be waiting to be sent when a call is made, in octets. Defaults to 64 MiB. */
  readonly maxQueuedBytes?: number;
}

/** Options of {@link OpenFlowConnection}. */
export interface OpenFlowConnectionOptions extends ConnectionSettings {
  /** Called for each message that answers nothing. What it throws ends the connection. */
  readonly onMessage: (message: Message) => void;
}

/** Who waits for messages of a transaction id. */
export interface Waiting {
  /** What it throws ends the connection. */
  readonly onMessage: (message: Message) => void;
  readonly onEnd: (error: OpenFlowError) => void;
}

/** How much of our answers to its echoes a switch may leave unread, in octets. */
const longestEchoes = 1024 * 1024;
const largestXid = 0xffff_ffff;

/**
 * Messages to and from a switch over one stream: transaction ids, the hello, echoes, and an end that everybody who waits is told.
 */
export class OpenFlowConnection {
  /** Resolves with why the connection has ended. Never rejects. */
  readonly closed: Promise<OpenFlowError>;
  readonly #stream: Duplex;
  readonly #options: OpenFlowConnectionOptions;
  readonly #name: string;
  readonly #splitter = new MessageSplitter();
  readonly #waiting = new Map<number, Waiting>();
  readonly #hello = Promise.withResolvers<void>();
  #isGreeted = false;
  #tellClosed: (error: OpenFlowError) => void = () => undefined;
  #xid = 0;
  #ended: OpenFlowError | undefined;
  #heard = performance.now();
  #probe: NodeJS.Timeout | undefined;
  #echoes = 0;

  constructor(stream: Duplex, options: OpenFlowConnectionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#name = options.name ?? "the switch";
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#hello.promise.catch(() => undefined);
    stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("error", (cause: Error) => this.end("OPENFLOW_CLOSED", `the connection broke: ${cause.message}`, cause));
    stream.on("end", () => this.end("OPENFLOW_CLOSED", "the switch hung up"));
    stream.on("close", () => this.end("OPENFLOW_CLOSED", "the switch hung up"));
  }

  /** Why it has ended; undefined while it is there. */
  get ended(): OpenFlowError | undefined {
    return this.#ended;
  }

  /**
   * Says hello, and waits for the switch's.
   *
   * @throws `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_PROTOCOL` (it does not speak our version), `OPENFLOW_CLOSED`
   */
  async handshake(options: CallOptions): Promise<void> {
    this.#stream.write(setTransactionId(hello(), this.nextXid()));
    await within(this.#hello.promise, this.#time(options, "hello"));
    this.#watch();
  }

  nextXid(): number {
    this.#xid = this.#xid === largestXid ? 1 : this.#xid + 1;
    return this.#xid;
  }

  /**
   * Sends messages, which have their transaction ids.
   *
   * @throws `OPENFLOW_CLOSED` or why else it has ended; `OPENFLOW_BUSY`
   */
  send(messages: readonly Buffer[]): void {
    const { maxQueuedBytes = 64 * 1024 * 1024 } = this.#options;
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#stream.writableLength > maxQueuedBytes) {
      const text = `${this.#name} has ${this.#stream.writableLength} octets to read before it gets any more`;
      throw new OpenFlowError("OPENFLOW_BUSY", text);
    }
    this.#stream.write(messages.length === 1 ? messages[0] : Buffer.concat(messages));
  }

  /** Gives messages of a transaction id to whoever waits, until the function that it returns is called. */
  listen(xid: number, waiting: Waiting): () => void {
    this.#waiting.set(xid, waiting);
    return () => void this.#waiting.delete(xid);
  }

  /**
   * Sends a question, and gives what answers it to `onAnswer` until that says that it is done.
   *
   * @throws `OPENFLOW_REFUSED`, `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_CLOSED`, `OPENFLOW_PROTOCOL`, `OPENFLOW_BUSY`
   */
  async ask(
    request: Buffer,
    answer: { readonly type: number; readonly onAnswer?: (body: Buffer) => "more" | "done" },
    options: CallOptions,
  ): Promise<void> {
    const xid = this.nextXid();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = this.listen(xid, {
      onEnd: reject,
      onMessage: ({ type, body }) => {
        if (type === messageType.error) {
          const details = parseRefusal(body);
          const text = `${this.#name} refused a request: ${details.name}`;
          reject(new OpenFlowError("OPENFLOW_REFUSED", text, { details }));
        } else if (type !== answer.type) {
          throw new OpenFlowError("OPENFLOW_PROTOCOL", "the switch answered another question");
        } else if (answer.onAnswer?.(body) !== "more") {
          resolve();
        }
      },
    });
    try {
      this.send([setTransactionId(request, xid)]);
      await within(promise, this.#time(options, "answer"));
    } finally {
      stop();
    }
  }

  /** Ends the connection, and all that waits on it. */
  end(code: OpenFlowErrorCode, text: string, cause?: unknown): void {
    if (this.#ended !== undefined) return;
    const error = new OpenFlowError(code, `OpenFlow of '${this.#name}': ${text}`, { cause });
    this.#ended = error;
    clearInterval(this.#probe);
    this.#stream.destroy();
    this.#hello.reject(error);
    for (const { onEnd } of [...this.#waiting.values()]) onEnd(error);
    this.#waiting.clear();
    this.#tellClosed(error);
  }

  #time({ signal, timeoutMs }: CallOptions, what: string): WithinOptions {
    return {
      signal,
      timeoutMs: timeoutMs ?? this.#options.timeoutMs ?? 5_000,
      inVain: `'${this.#name}' gave no ${what}`,
    };
  }

  #receive(chunk: Buffer): void {
    this.#heard = performance.now();
    try {
      for (const message of this.#splitter.push(chunk)) {
        if (this.#ended !== undefined) return;
        this.#handle(message);
      }
    } catch (error) {
      const cause = error instanceof OpenFlowError ? error : new OpenFlowError("OPENFLOW_PROTOCOL", String(error));
      this.end(cause.code, cause.message, error);
    }
  }

  #handle(message: Message): void {
    const { type, xid, body } = message;
    if (type === messageType.hello) {
      if (!speaksOurVersion(message.version, body)) {
        this.end("OPENFLOW_PROTOCOL", "the switch does not speak OpenFlow 1.3");
        return;
      }
      this.#isGreeted = true;
      this.#hello.resolve();
    } else if (type === messageType.error && !this.#isGreeted) {
      this.end("OPENFLOW_PROTOCOL", `the switch refused our hello: ${parseRefusal(body).name}`);
    } else if (type === messageType.echoRequest) {
      this.#echo(xid, body);
    } else {
      const waiting = this.#waiting.get(xid);
      if (waiting === undefined) this.#options.onMessage(message);
      else waiting.onMessage(message);
    }
  }

  #echo(xid: number, body: Buffer): void {
    const reply = setTransactionId(encodeMessage(messageType.echoReply, body), xid);
    this.#echoes += reply.length;
    if (this.#echoes > longestEchoes) {
      this.end("OPENFLOW_PROTOCOL", "the switch asks for echoes, and reads none of them");
      return;
    }
    this.#stream.write(reply, () => {
      this.#echoes -= reply.length;
    });
  }

  #watch(): void {
    const { probeIntervalMs = 5_000 } = this.#options;
    this.#probe = setInterval(() => {
      if (performance.now() - this.#heard < probeIntervalMs) return;
      const asked = performance.now();
      this.ask(encodeMessage(messageType.echoRequest), { type: messageType.echoReply }, {}).catch(() => {
        if (this.#heard < asked) this.end("OPENFLOW_CLOSED", "the switch is silent");
      });
    }, probeIntervalMs);
    this.#probe.unref();
  }
}
