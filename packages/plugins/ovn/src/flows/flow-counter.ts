import { connect as connectStream, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseRemotes, type TlsSettings } from "@vdc-os/ovsdb";

/** Options of {@link FlowCounter.connect}. */
export interface FlowCounterOptions {
  /** `unix:<path>`, `tcp:<host>:<port>` or `ssl:<host>:<port>`, where a bridge speaks OpenFlow. */
  readonly remote: string;
  readonly tls?: TlsSettings;
  /** How long connecting and each answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Called once, when the connection has ended. */
  readonly onClose?: () => void;
}

const version = 4;
const types = { hello: 0, error: 1, echoRequest: 2, echoReply: 3, multipartRequest: 18, multipartReply: 19 } as const;
const aggregate = 2;
const any = 0xffff_ffff;

/**
 * Asks one bridge how many flows it has with a cookie, in OpenFlow 1.3, which is all that it speaks. It changes nothing there. A connection that ended is
 * not made anew.
 */
export class FlowCounter {
  readonly #socket: Socket;
  readonly #options: FlowCounterOptions;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (count: number) => void; readonly reject: (e: Error) => void }
  >();
  readonly #hello = Promise.withResolvers<void>();
  #rest: Buffer = Buffer.alloc(0);
  #xid = 1;
  #ended: Error | undefined;

  private constructor(socket: Socket, options: FlowCounterOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#hello.promise.catch(() => undefined);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#end(error.message));
    socket.on("close", () => this.#end("the bridge hung up"));
  }

  static async connect(options: FlowCounterOptions): Promise<FlowCounter> {
    const { remote, tls = {} } = options;
    const [place] = parseRemotes(remote);
    if (place === undefined) throw new Error("no remote is given");
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
    const counter = new FlowCounter(socket, options);
    socket.once(place.kind === "ssl" ? "secureConnect" : "connect", () => {
      // A hello that lists 1.3 alone (a version bitmap).
      socket.write(message(types.hello, 0, Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << version])));
    });
    try {
      await counter.#within(counter.#hello.promise);
    } catch (error) {
      counter.close();
      throw error;
    }
    return counter;
  }

  get isConnected(): boolean {
    return this.#ended === undefined;
  }

  /** How many flows of the bridge have exactly this cookie. */
  async count(cookie: bigint): Promise<number> {
    if (this.#ended !== undefined) throw this.#ended;
    const xid = this.#xid++;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.set(xid, { resolve, reject });
    const body = Buffer.alloc(48);
    body.writeUInt16BE(aggregate, 0);
    body.writeUInt8(0xff, 8);
    body.writeUInt32BE(any, 12);
    body.writeUInt32BE(any, 16);
    body.writeBigUInt64BE(cookie, 24);
    body.writeBigUInt64BE(0xffff_ffff_ffff_ffffn, 32);
    // A match of nothing: its header, and the padding.
    body.set([0, 1, 0, 4], 40);
    this.#socket.write(message(types.multipartRequest, xid, body));
    try {
      return await this.#within(promise);
    } finally {
      this.#waiting.delete(xid);
    }
  }

  close(): void {
    this.#end("the connection was closed here");
  }

  async #within<T>(promise: Promise<T>): Promise<T> {
    const { remote, timeoutMs } = this.#options;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`'${remote}' gave no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #receive(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 8) {
      const length = this.#rest.readUInt16BE(2);
      if (length < 8) {
        this.#end("the bridge sent what is no OpenFlow");
        return;
      }
      if (this.#rest.length < length) return;
      const whole = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      this.#handle(whole.readUInt8(1), whole.readUInt32BE(4), whole.subarray(8));
      if (this.#ended !== undefined) return;
    }
  }

  #handle(type: number, xid: number, body: Buffer): void {
    if (type === types.hello) {
      this.#hello.resolve();
      return;
    }
    if (type === types.echoRequest) {
      this.#socket.write(message(types.echoReply, xid, body));
      return;
    }
    const waiting = this.#waiting.get(xid);
    if (type === types.error) {
      const error = new Error(`the bridge refused: ${body.subarray(0, 4).toString("hex")}`);
      // An error that answers the hello: no version in common.
      if (waiting === undefined) this.#end(error.message);
      else waiting.reject(error);
      return;
    }
    if (type !== types.multipartReply || waiting === undefined) return;
    if (body.length < 28 || body.readUInt16BE(0) !== aggregate) {
      waiting.reject(new Error("the bridge answered another question"));
      return;
    }
    waiting.resolve(body.readUInt32BE(24));
  }

  #end(why: string): void {
    if (this.#ended !== undefined) return;
    const error = new Error(`OpenFlow of '${this.#options.remote}': ${why}`);
    this.#ended = error;
    this.#socket.destroy();
    this.#hello.reject(error);
    for (const { reject } of [...this.#waiting.values()]) reject(error);
    this.#waiting.clear();
    this.#options.onClose?.();
  }
}

function message(type: number, xid: number, body: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(version, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(8 + body.length, 2);
  header.writeUInt32BE(xid, 4);
  return Buffer.concat([header, body]);
}
