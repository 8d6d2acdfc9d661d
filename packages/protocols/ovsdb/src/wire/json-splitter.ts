import { isUtf8 } from "node:buffer";
import { OvsdbError } from "../ovsdb-error.ts";

export interface JsonSplitterOptions {
  /** The longest message, in bytes. Defaults to 256 MiB. */
  readonly maxMessageBytes?: number;
  /** How deep arrays and objects may nest. Defaults to 64; what OVSDB itself needs stays below 12. */
  readonly maxDepth?: number;
}

export const DEFAULT_MAX_MESSAGE_BYTES: number = 256 * 1024 * 1024;
const DEFAULT_MAX_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Splits a stream of JSON objects, which have nothing between them but white space (RFC 7047, section 4), as its bytes come in.
 *
 * It holds one message at most, and no more than the limit of it: what never ends is an error. After an error it takes nothing more.
 */
export class JsonSplitter {
  readonly #maxMessageBytes: number;
  readonly #maxDepth: number;
  /** The beginning of a message whose end has not come. Copied, because a chunk may be a small part of a large buffer. */
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #failure: OvsdbError | undefined;

  constructor(options: JsonSplitterOptions = {}) {
    this.#maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
  }

  /** Whether a message has begun and not ended. */
  get inMessage(): boolean {
    return this.#depth > 0;
  }

  /** The memory held for a message that has begun, in bytes. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /**
   * Takes bytes and hands over every message that ends in them, in order.
   *
   * @throws `OVSDB_MESSAGE_TOO_LARGE`, `OVSDB_PROTOCOL`; and what `onMessage` throws
   */
  push(chunk: Buffer, onMessage: (message: unknown) => void): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#push(chunk, onMessage);
    } catch (error) {
      this.#failure =
        error instanceof OvsdbError ? error : new OvsdbError("OVSDB_PROTOCOL", "A message failed.", { cause: error });
      this.#held = Buffer.alloc(0);
      this.#heldBytes = 0;
      throw error;
    }
  }

  #push(chunk: Buffer, onMessage: (message: unknown) => void): void {
    let start = 0;
    let at = 0;
    const { length } = chunk;
    while (at < length) {
      if (this.#depth === 0) {
        const byte = chunk[at]!;
        if (byte === OPEN_BRACE) {
          start = at;
          this.#depth = 1;
        } else if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw new OvsdbError(
            "OVSDB_PROTOCOL",
            `A message of OVSDB is a JSON object; the peer sent a byte 0x${byte.toString(16).padStart(2, "0")} instead.`,
          );
        }
        at += 1;
        continue;
      }
      // No message grows beyond the limit by a large chunk either.
      const limit = Math.min(length, start + this.#maxMessageBytes - this.#heldBytes);
      const end = this.#scan(chunk, at, limit);
      if (end === undefined) {
        if (limit < length || this.#heldBytes + (length - start) >= this.#maxMessageBytes) {
          throw new OvsdbError(
            "OVSDB_MESSAGE_TOO_LARGE",
            `The peer sent a message over the limit of ${this.#maxMessageBytes} bytes.`,
          );
        }
        this.#hold(chunk.subarray(start));
        return;
      }
      const message = this.#take(chunk.subarray(start, end));
      at = end;
      start = end;
      onMessage(parseMessage(message));
    }
    // The chunk ended with the first byte of a message.
    if (this.#depth > 0) this.#hold(chunk.subarray(start));
  }

  /** Looks for the end of the message from `at` on. Returns the offset behind it, or `undefined` when it isn't before `limit`. */
  #scan(chunk: Buffer, at: number, limit: number): number | undefined {
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (let index = at; index < limit; index += 1) {
      const byte = chunk[index]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      switch (byte) {
        case QUOTE:
          inString = true;
          break;
        case OPEN_BRACE:
        case OPEN_BRACKET:
          depth += 1;
          if (depth > this.#maxDepth) {
            throw new OvsdbError(
              "OVSDB_MESSAGE_TOO_LARGE",
              `The peer sent a message that nests deeper than ${this.#maxDepth} levels.`,
            );
          }
          break;
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          depth -= 1;
          if (depth === 0) {
            this.#depth = 0;
            this.#inString = false;
            return index + 1;
          }
          break;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return undefined;
  }

  #hold(bytes: Buffer): void {
    const needed = this.#heldBytes + bytes.length;
    if (needed > this.#held.length) {
      const size = Math.min(
        Math.max(needed, this.#held.length * 2, 16 * 1024),
        Math.max(needed, this.#maxMessageBytes),
      );
      const grown = Buffer.allocUnsafeSlow(size);
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes);
    this.#heldBytes = needed;
  }

  #take(rest: Buffer): Buffer {
    if (this.#heldBytes === 0) return rest;
    this.#hold(rest);
    const message = this.#held.subarray(0, this.#heldBytes);
    this.#held = Buffer.alloc(0);
    this.#heldBytes = 0;
    return message;
  }
}

function parseMessage(bytes: Buffer): unknown {
  // A replacement character would silently be another value than the one in the database.
  if (!isUtf8(bytes)) throw new OvsdbError("OVSDB_PROTOCOL", "The peer sent a message that is not UTF-8.");
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new OvsdbError("OVSDB_PROTOCOL", "The peer sent a message that is not JSON.", { cause });
  }
}
