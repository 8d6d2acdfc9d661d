import type { Readable } from "node:stream";
import { AbstractMessageReader, type DataCallback, type Disposable, type Message } from "vscode-jsonrpc/node";
import { VdcError } from "../error/vdc-error.ts";
import { maxHeaderBytes } from "./wire-protocol.ts";

/** Undispatched messages above which the stream is paused, and below which it goes on. */
const highWater = 256;
const lowWater = 64;
/** The same in bytes, of text that was parsed. */
const highWaterBytes = 16 * 1024 * 1024;

const headerEnd = Buffer.from("\r\n\r\n");

/**
 * Reads Content-Length framed JSON-RPC messages from a peer that may be hostile.
 *
 * At most one message of `maxMessageBytes` is held, and at most {@link highWater} more, or {@link highWaterBytes}, wait for dispatch; beyond that the stream is
 * paused. The first byte that is not a well-formed message ends the reading: `onViolation` is called once, and nothing after it.
 */
export class BoundedMessageReader extends AbstractMessageReader {
  readonly #stream: Readable;
  readonly #maxMessageBytes: number;
  readonly #onViolation: (error: VdcError) => void;
  readonly #onCancel: (id: string | number) => void;
  #callback: DataCallback | undefined;
  /** Parts of what has arrived and was not consumed. Joined only when a whole header or body is there. */
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** The body's length once the header was read. */
  #expected = -1;
  #ended = false;
  #pending = 0;
  #pendingBytes = 0;
  /** The lengths of the messages that wait for dispatch, which is in order. */
  readonly #lengths: number[] = [];
  #paused = false;
  /** Requests and responses that wait for dispatch: `vscode-jsonrpc` keys its queue by id, so a duplicate would be lost in it. */
  readonly #waiting: Set<string | number> = new Set();

  constructor(
    stream: Readable,
    options: {
      readonly maxMessageBytes: number;
      readonly onViolation: (error: VdcError) => void;
      /** The peer cancels a request, which may still wait for dispatch. Cancellations overtake everything else. */
      readonly onCancel: (id: string | number) => void;
    },
  ) {
    super();
    this.#stream = stream;
    this.#maxMessageBytes = options.maxMessageBytes;
    this.#onViolation = options.onViolation;
    this.#onCancel = options.onCancel;
  }

  listen(callback: DataCallback): Disposable {
    this.#callback = callback;
    this.#stream.on("data", this.#onData);
    return { dispose: () => this.stop() };
  }

  /** Reads nothing more. */
  stop(): void {
    this.#ended = true;
    this.#chunks = [];
    this.#buffered = 0;
    this.#stream.off("data", this.#onData);
  }

  /** Whether a request has arrived and was not dispatched yet. */
  isWaiting(id: string | number): boolean {
    return this.#waiting.has(typeof id === "number" ? id : `q${id}`);
  }

  /** Says that a message left the dispatch queue. Returns its length in bytes. */
  dispatched(message: Message): number {
    this.#waiting.delete(keyOf(message));
    this.#pending--;
    const length = this.#lengths.shift() ?? 0;
    this.#pendingBytes -= length;
    if (this.#paused && this.#pending < lowWater && this.#pendingBytes < highWaterBytes) {
      this.#paused = false;
      this.#drain();
      if (!this.#paused && !this.#ended) this.#stream.resume();
    }
    return length;
  }

  readonly #onData = (data: Buffer): void => {
    if (this.#ended) return;
    this.#chunks.push(data);
    this.#buffered += data.length;
    if (!this.#paused) this.#drain();
  };

  #drain(): void {
    try {
      while (!this.#ended && !this.#paused) {
        const body = this.#takeBody();
        if (body === undefined) return;
        this.#deliver(JSON.parse(body.toString("utf8")), body.length);
        if (this.#pending >= highWater || this.#pendingBytes >= highWaterBytes) {
          this.#paused = true;
          this.#stream.pause();
        }
      }
    } catch (error) {
      this.#violation(error instanceof SyntaxError ? "a message is not JSON" : String((error as Error).message));
    }
  }

  #takeBody(): Buffer | undefined {
    if (this.#expected < 0) {
      // The header is nearly always in one piece with what follows.
      const head = this.#peek(maxHeaderBytes + headerEnd.length);
      const end = head.indexOf(headerEnd);
      if (end < 0) {
        if (head.length > maxHeaderBytes) throw new Error(`a header is longer than ${maxHeaderBytes} bytes`);
        return undefined;
      }
      this.#expected = this.#parseHeader(head.toString("latin1", 0, end));
      this.#take(end + headerEnd.length);
    }
    if (this.#buffered < this.#expected) return undefined;
    const body = this.#take(this.#expected);
    this.#expected = -1;
    return body;
  }

  #parseHeader(header: string): number {
    let length: number | undefined;
    for (const line of header.split("\r\n")) {
      const match = /^content-length: *([0-9]{1,10})$/i.exec(line);
      if (match !== null) {
        if (length !== undefined) throw new Error("a header has two Content-Length fields");
        length = Number(match[1]);
      } else if (!/^content-type:/i.test(line)) {
        throw new Error("a header is not a Content-Length field");
      }
    }
    if (length === undefined) throw new Error("a header has no Content-Length field");
    if (length > this.#maxMessageBytes) {
      throw new Error(`a message of ${length} bytes is longer than the ${this.#maxMessageBytes} that are accepted`);
    }
    return length;
  }

  /** Up to `count` bytes from the front, without consuming them. */
  #peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first === undefined) return Buffer.alloc(0);
    if (this.#chunks.length === 1 || first.length >= count) return first.subarray(0, count);
    const parts: Buffer[] = [];
    for (let index = 0, got = 0; index < this.#chunks.length && got < count; index++) {
      const chunk = this.#chunks[index] as Buffer;
      parts.push(chunk);
      got += chunk.length;
    }
    return Buffer.concat(parts).subarray(0, count);
  }

  #take(count: number): Buffer {
    this.#buffered -= count;
    let first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length < count) {
      first = Buffer.concat(this.#chunks);
      this.#chunks = [first];
    }
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
    return first.length === count ? first : first.subarray(0, count);
  }

  #deliver(value: unknown, length: number): void {
    const message = checkMessage(value);
    if (isCancel(message)) {
      this.#onCancel((message as unknown as CancelMessage).params.id);
      return;
    }
    const key = keyOf(message);
    if (key !== "") {
      if (this.#waiting.has(key)) throw new Error("two messages in a row have the same id");
      this.#waiting.add(key);
    }
    this.#pending++;
    this.#lengths.push(length);
    this.#pendingBytes += length;
    this.#callback?.(message);
  }

  #violation(text: string): void {
    if (this.#ended) return;
    this.stop();
    this.#onViolation(
      new VdcError("UNAVAILABLE", `the connection was closed because the peer broke the protocol: ${text}`, {
        reason: "VDC_PROTOCOL_VIOLATION",
      }),
    );
  }
}

interface LooseMessage {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

interface CancelMessage {
  readonly params: { readonly id: string | number };
}

/** Refuses everything that `vscode-jsonrpc` would answer with an exception or a growing log. */
function checkMessage(value: unknown): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("a message is not an object");
  const message = value as LooseMessage;
  if (message.jsonrpc !== "2.0") throw new Error("a message is not JSON-RPC 2.0");
  const { id, method, params } = message;
  const hasId = typeof id === "string" ? id.length <= 64 : Number.isSafeInteger(id);
  if (method !== undefined) {
    if (typeof method !== "string") throw new Error("a method is not a string");
    if (id !== undefined && !hasId) throw new Error("a request's id is neither a short string nor an integer");
    if (params !== undefined && (typeof params !== "object" || params === null))
      throw new Error("params are not structured");
    if (id === undefined && method === "$/cancelRequest") {
      const cancelled = (params as { readonly id?: unknown } | undefined)?.id;
      if (typeof cancelled !== "string" && typeof cancelled !== "number")
        throw new Error("a cancellation names no request");
    }
    return value as Message;
  }
  if (!hasId) throw new Error("a message is neither a request, a notification nor a response");
  if (message.error !== undefined) {
    const error = message.error as { readonly code?: unknown; readonly message?: unknown } | null;
    if (typeof error !== "object" || error === null || typeof error.message !== "string") {
      throw new Error("a response's error is not one");
    }
  } else if (message.result === undefined) {
    throw new Error("a response has neither a result nor an error");
  }
  return value as Message;
}

function isCancel(message: Message): boolean {
  return (message as LooseMessage).method === "$/cancelRequest" && (message as LooseMessage).id === undefined;
}

function keyOf(message: Message): string | number {
  const { id, method } = message as LooseMessage;
  if (id === undefined) return "";
  // Requests and responses have id spaces of their own. Numbers of requests stay numbers: no string is made for them.
  if (method !== undefined) return typeof id === "number" ? id : `q${String(id)}`;
  return `r${String(id)}`;
}
