import { connect as connectStream, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseRemotes, type TlsSettings } from "@vdc-os/ovsdb";
import {
  becomeMaster,
  encodeMessage,
  type FlowQuery,
  flowStatsRequest,
  messageType,
  meterStatsRequest,
  multipartType,
  packetOut,
  portStatsRequest,
  receivePackets,
  setTransactionId,
} from "./messages.ts";
import { OpenFlowError, type OpenFlowRefusal } from "./openflow-error.ts";
import {
  type FlowStats,
  type Message,
  MessageSplitter,
  type MeterStats,
  type PacketIn,
  type PortStats,
  parseFlowStats,
  parseMeterStats,
  parseMultipart,
  parsePacketIn,
  parsePortStats,
  parseRefusal,
  speaksOurVersion,
} from "./parse.ts";

/** Options of {@link OpenFlowClient.connect}. */
export interface OpenFlowClientOptions {
  /** `unix:<path>`, `tcp:<host>:<port>` or `ssl:<host>:<port>`. */
  readonly remote: string;
  readonly tls?: TlsSettings;
  /** How long connecting and each answer may take, in milliseconds. Defaults to `5_000`. */
  readonly timeoutMs?: number;
  /** After how long a silent switch is asked whether it is there, in milliseconds. Defaults to `5_000`. */
  readonly probeIntervalMs?: number;
  /** Called for each frame that flows send here. Open vSwitch lets a hundred wait, and drops the others. Without it none are asked for. */
  readonly onPacket?: (packet: PacketIn) => void;
  /** Called once, when the connection has ended. */
  readonly onClose?: (error: OpenFlowError) => void;
}

/** A message that the switch refused: its place in the batch, and what the switch said. */
export interface RefusedMessage {
  readonly index: number;
  readonly refusal: OpenFlowRefusal;
}

interface Waiting {
  readonly onMessage: (message: Message) => void;
  readonly reject: (error: OpenFlowError) => void;
}

/** What answers to one question may hold together, in octets. */
const longestAnswer = 256 * 1024 * 1024;

/** One connection to a bridge, in OpenFlow 1.3. It is not made anew when it ends. */
export class OpenFlowClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #options: OpenFlowClientOptions;
  readonly #splitter = new MessageSplitter();
  readonly #waiting = new Map<number, Waiting>();
  readonly #hello = Promise.withResolvers<void>();
  #xid = 1;
  #ended: OpenFlowError | undefined;
  #heard = performance.now();
  #probe: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, options: OpenFlowClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#hello.promise.catch(() => undefined);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (cause) => this.#end("OPENFLOW_DISCONNECTED", `the connection broke: ${cause.message}`, cause));
    socket.on("close", () => this.#end("OPENFLOW_DISCONNECTED", "the switch hung up"));
  }

  /** @throws `OPENFLOW_CONNECT_FAILED`, `OPENFLOW_TIMEOUT`, `OPENFLOW_PROTOCOL` */
  static async connect(options: OpenFlowClientOptions): Promise<OpenFlowClient> {
    const { remote, tls = {}, timeoutMs = 5_000 } = options;
    const [place] = parseRemotes(remote);
    if (place === undefined) throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", "no remote is given");
    const socket =
      place.kind === "unix"
        ? connectStream({ path: place.path })
        : place.kind === "tcp"
          ? connectStream({ host: place.host, port: place.port })
          : connectTls({
              host: place.host,
              port: place.port,
              ...(tls.ca === undefined ? {} : { ca: tls.ca }),
              ...(tls.cert === undefined ? {} : { cert: tls.cert }),
              ...(tls.key === undefined ? {} : { key: tls.key }),
              // The authority of an Open vSwitch installation signs for its switches alone, whose certificates name no hosts.
              ...(tls.ca !== undefined && tls.verifyHost !== true ? { checkServerIdentity: () => undefined } : {}),
            });
    const opened = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      opened.reject(new OpenFlowError("OPENFLOW_TIMEOUT", `'${remote}' gave no connection within ${timeoutMs} ms`));
    }, timeoutMs);
    socket.once(place.kind === "ssl" ? "secureConnect" : "connect", opened.resolve);
    socket.once("error", (cause) => {
      opened.reject(
        new OpenFlowError("OPENFLOW_CONNECT_FAILED", `no connection to '${remote}': ${cause.message}`, { cause }),
      );
    });
    try {
      await opened.promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    const client = new OpenFlowClient(socket, options);
    // A hello that lists 1.3 alone (a version bitmap).
    client.#send(encodeMessage(messageType.hello, Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << 4])), 0);
    try {
      await client.#within(client.#hello.promise, "a hello");
    } catch (error) {
      client.close();
      throw error;
    }
    if (options.onPacket !== undefined) client.#send(receivePackets(), 0);
    client.#watch();
    return client;
  }

  /** Why it has ended; undefined while it is there. */
  get ended(): OpenFlowError | undefined {
    return this.#ended;
  }

  /** Sends messages that have no answers, and resolves when the switch has done them all. Tells those that it refused. */
  async modify(messages: readonly Buffer[]): Promise<readonly RefusedMessage[]> {
    if (messages.length === 0) return [];
    const refused: RefusedMessage[] = [];
    const first = this.#xid;
    const xids = messages.map((_, at) => first + at);
    this.#xid = first + messages.length;
    xids.forEach((xid, index) => {
      this.#waiting.set(xid, {
        onMessage: ({ body }) => refused.push({ index, refusal: parseRefusal(body) }),
        reject: () => undefined,
      });
    });
    try {
      messages.forEach((message, at) => {
        setTransactionId(message, xids[at] ?? 0);
      });
      this.#write(Buffer.concat(messages));
      await this.#ask(encodeMessage(messageType.barrierRequest), (_, done) => done());
    } finally {
      for (const xid of xids) this.#waiting.delete(xid);
    }
    return refused;
  }

  /**
   * Asks to be the one connection that may change the bridge. `false` where another has asked with a higher number.
   */
  async becomeMaster(generation: bigint): Promise<boolean> {
    try {
      await this.#ask(becomeMaster(generation), (_, done) => done());
      return true;
    } catch (error) {
      // OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE
      if (error instanceof OpenFlowError && error.details?.type === 11 && error.details.code === 0) return false;
      throw error;
    }
  }

  async flows(query: FlowQuery = {}): Promise<readonly FlowStats[]> {
    return this.#multipart(multipartType.flow, flowStatsRequest(query), parseFlowStats);
  }

  async ports(): Promise<readonly PortStats[]> {
    return this.#multipart(multipartType.portStats, portStatsRequest(), parsePortStats);
  }

  async meters(): Promise<readonly MeterStats[]> {
    return this.#multipart(multipartType.meter, meterStatsRequest(), parseMeterStats);
  }

  /** Sends a frame out by a port. Nothing tells whether it left. */
  sendFrame(port: number, frame: Buffer): void {
    this.#send(packetOut(port, frame), this.#xid++);
  }

  close(): void {
    this.#end("OPENFLOW_DISCONNECTED", "the connection was closed here");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #multipart<T>(type: number, request: Buffer, parse: (body: Buffer) => readonly T[]): Promise<readonly T[]> {
    const found: T[] = [];
    let length = 0;
    await this.#ask(request, (message, done) => {
      const part = parseMultipart(message.body);
      length += part.body.length;
      if (message.type !== messageType.multipartReply || part.type !== type) {
        throw new OpenFlowError("OPENFLOW_PROTOCOL", "the switch answered another question");
      }
      if (length > longestAnswer)
        throw new OpenFlowError("OPENFLOW_PROTOCOL", `an answer is longer than ${longestAnswer} octets`);
      for (const each of parse(part.body)) found.push(each);
      if (!part.more) done();
    });
    return found;
  }

  /** Resolves when `onAnswer` says that it is done; an error of the switch rejects. */
  async #ask(request: Buffer, onAnswer: (message: Message, done: () => void) => void): Promise<void> {
    const xid = this.#xid++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(xid, {
      onMessage: (message) => {
        if (message.type !== messageType.error) return onAnswer(message, resolve);
        const details = parseRefusal(message.body);
        const text = `the switch refused a request: error ${details.type}, code ${details.code}`;
        reject(new OpenFlowError("OPENFLOW_REFUSED", text, { details }));
      },
      reject,
    });
    try {
      this.#send(request, xid);
      await this.#within(promise, "an answer");
    } finally {
      this.#waiting.delete(xid);
    }
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    const { remote, timeoutMs = 5_000 } = this.#options;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(
        new OpenFlowError(
          "OPENFLOW_TIMEOUT",
          `'${remote}' gave no ${what.replace(/^an? /, "")} within ${timeoutMs} ms`,
        ),
      );
    }, timeoutMs);
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #send(message: Buffer, xid: number): void {
    this.#write(setTransactionId(message, xid));
  }

  #write(data: Buffer): void {
    if (this.#ended !== undefined) throw this.#ended;
    this.#socket.write(data);
  }

  #receive(chunk: Buffer): void {
    this.#heard = performance.now();
    try {
      for (const message of this.#splitter.push(chunk)) this.#handle(message);
    } catch (error) {
      const cause = error instanceof OpenFlowError ? error : new OpenFlowError("OPENFLOW_PROTOCOL", String(error));
      this.#end(cause.code, cause.message, cause);
    }
  }

  #handle(message: Message): void {
    if (message.type === messageType.hello) {
      if (speaksOurVersion(message.version, message.body)) this.#hello.resolve();
      else this.#end("OPENFLOW_PROTOCOL", "the switch does not speak OpenFlow 1.3");
    } else if (message.type === messageType.echoRequest) {
      this.#send(encodeMessage(messageType.echoReply, Buffer.from(message.body)), message.xid);
    } else if (message.type === messageType.packetIn) {
      this.#options.onPacket?.(parsePacketIn(message.body));
    } else {
      this.#waiting.get(message.xid)?.onMessage(message);
    }
  }

  #watch(): void {
    const { probeIntervalMs = 5_000 } = this.#options;
    this.#probe = setInterval(() => {
      if (performance.now() - this.#heard < probeIntervalMs) return;
      const asked = performance.now();
      this.#ask(encodeMessage(messageType.echoRequest), (_, done) => done()).catch(() => {
        if (this.#heard < asked) this.#end("OPENFLOW_DISCONNECTED", "the switch is silent");
      });
    }, probeIntervalMs);
    this.#probe.unref();
  }

  #end(code: OpenFlowError["code"], text: string, cause?: unknown): void {
    if (this.#ended !== undefined) return;
    const error = new OpenFlowError(code, `OpenFlow of '${this.#options.remote}': ${text}`, { cause });
    this.#ended = error;
    clearInterval(this.#probe);
    this.#socket.destroy();
    this.#hello.reject(error);
    for (const { reject } of [...this.#waiting.values()]) reject(error);
    this.#waiting.clear();
    this.#options.onClose?.(error);
  }
}
