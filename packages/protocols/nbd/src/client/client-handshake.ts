import type { Duplex } from "node:stream";
import { NbdError } from "../nbd-error.ts";
import { ByteReader } from "../wire/byte-reader.ts";
import * as wire from "../wire/wire-constants.ts";

/** A conversation with the server: yields the number of bytes that it needs next. */
export type Exchange<T> = Generator<number, T, Buffer>;

/** No reply of the handshake has more data than a name, a description and a little more. */
const MAX_REPLY_BYTES = 16 * 1024;
/** An export's list may be long; everything else takes a few. */
const MAX_REPLIES = 100_000;

/**
 * Runs a conversation on a connected stream, and `onDone` within the event that ends it. It reads no byte beyond it: what comes next
 * from the server is an answer to something that has not been sent yet.
 */
export function runExchange<T, R>(socket: Duplex, exchange: Exchange<T>, onDone: (result: T) => R): Promise<R> {
  return new Promise((resolve, reject) => {
    const reader = new ByteReader();
    const finish = (): void => {
      socket.off("data", onData);
      socket.off("end", onEnd);
      socket.off("close", onEnd);
      socket.off("error", onError);
    };
    const fail = (error: unknown): void => {
      finish();
      reject(error instanceof NbdError ? error : new NbdError("NBD_PROTOCOL", String(error), { cause: error }));
    };
    const onEnd = (): void => fail(new NbdError("NBD_REFUSED", "the server ended the negotiation"));
    const onError = (cause: Error): void =>
      fail(new NbdError("NBD_CLOSED", `the connection failed: ${cause.message}`, { cause }));
    let isRunning = false;
    const onData = (chunk: Buffer): void => {
      reader.feed(chunk);
      // Streams within a process may deliver an answer to a write before it returns.
      if (isRunning) return;
      isRunning = true;
      try {
        while (!wanted.done && reader.ensure(wanted.value)) {
          const bytes = Buffer.from(reader.buffer.subarray(reader.at, reader.at + wanted.value));
          reader.consume(wanted.value);
          wanted = exchange.next(bytes);
        }
      } catch (error) {
        fail(error);
        return;
      } finally {
        isRunning = false;
      }
      if (!wanted.done) return;
      finish();
      if (reader.hasMore) reject(protocolError("more than its answers"));
      else resolve(onDone(wanted.value));
    };
    let wanted = exchange.next(Buffer.alloc(0));
    if (socket.destroyed || socket.readableEnded) {
      onEnd();
      return;
    }
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("close", onEnd);
    socket.on("error", onError);
  });
}

/** Answers the server's greeting. */
export function* greet(socket: Duplex): Exchange<{ readonly noZeroes: boolean }> {
  const greeting = yield wire.GREETING_BYTES;
  const isNewstyle =
    greeting.readUInt32BE(0) === wire.NBD_MAGIC_HIGH &&
    greeting.readUInt32BE(4) === wire.NBD_MAGIC_LOW &&
    greeting.readUInt32BE(8) === wire.OPTION_MAGIC_HIGH &&
    greeting.readUInt32BE(12) === wire.OPTION_MAGIC_LOW;
  if (!isNewstyle) throw protocolError("a greeting that is not newstyle");
  const offered = greeting.readUInt16BE(16);
  if ((offered & wire.FLAG_FIXED_NEWSTYLE) === 0) throw protocolError("a greeting that is not fixed newstyle");
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(offered & (wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES));
  socket.write(flags);
  return { noZeroes: (offered & wire.FLAG_NO_ZEROES) !== 0 };
}

/** Asks for TLS. Fails with `NBD_TLS_FAILED` where the server has none: going on in clear is what an attacker would want. */
export function* askForTls(socket: Duplex): Exchange<undefined> {
  const { type, text } = yield* ask(socket, wire.OPT_STARTTLS, Buffer.alloc(0));
  if (type !== wire.REP_ACK) {
    throw new NbdError("NBD_TLS_FAILED", `the server refused TLS with 0x${type.toString(16)}${text}`);
  }
  return undefined;
}

/** What ended the replies to an option: an acknowledgement, or an error with its text. */
export interface LastReply {
  readonly type: number;
  readonly text: string;
}

/** Sends an option and reads its replies up to the last one. */
export function* ask(
  socket: Duplex,
  option: number,
  data: Buffer,
  onReply: (type: number, reply: Buffer) => void = () => {},
): Exchange<LastReply> {
  sendOption(socket, option, data);
  for (let count = 0; count < MAX_REPLIES; count++) {
    const reply = yield wire.OPTION_REPLY_BYTES;
    const isReply =
      reply.readUInt32BE(0) === wire.OPTION_REPLY_MAGIC_HIGH &&
      reply.readUInt32BE(4) === wire.OPTION_REPLY_MAGIC_LOW &&
      reply.readUInt32BE(8) === option;
    if (!isReply) throw protocolError("an answer to no question");
    const type = reply.readUInt32BE(12);
    const length = reply.readUInt32BE(16);
    if (length > MAX_REPLY_BYTES) throw protocolError("an answer that is too long");
    const body = length > 0 ? yield length : Buffer.alloc(0);
    if (type === wire.REP_ACK) return { type, text: "" };
    const text = length > 0 ? `: ${body.toString("utf8").slice(0, 200)}` : "";
    if (type === wire.REP_ERR_TLS_REQD) {
      throw new NbdError("NBD_TLS_REQUIRED", `the server demands TLS: connect with the option 'tls'${text}`);
    }
    if (type >= 0x80000000) return { type, text };
    onReply(type, body);
  }
  throw protocolError("too many answers to one option");
}

export function sendOption(socket: Duplex, option: number, data: Buffer): void {
  const head = Buffer.alloc(wire.OPTION_HEADER_BYTES);
  head.writeUInt32BE(wire.OPTION_MAGIC_HIGH, 0);
  head.writeUInt32BE(wire.OPTION_MAGIC_LOW, 4);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(data.length, 12);
  socket.write(Buffer.concat([head, data]));
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function protocolError(what: string): NbdError {
  return new NbdError("NBD_PROTOCOL", `the server sent ${what} while negotiating`);
}
