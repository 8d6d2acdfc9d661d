import type { Duplex } from "node:stream";
import { ByteReader } from "./byte-reader.ts";
import { NbdError } from "./nbd-error.ts";
import * as wire from "./wire-constants.ts";

/** No reply of the handshake has more data than a name, a description and a little more. */
const MAX_REPLY_BYTES = 16 * 1024;

export interface ClientHandshakeOptions {
  readonly exportName: string;
  /** Whether to ask for structured replies and `base:allocation`. */
  readonly structured: boolean;
}

/** What the server granted. */
export interface GrantedExport {
  readonly sizeBytes: number;
  /** The transmission flags. */
  readonly flags: number;
  readonly structured: boolean;
  /** The id of `base:allocation`; undefined when the server doesn't offer it. */
  readonly allocationId: number | undefined;
  /** The largest payload that the server takes. */
  readonly maxPayloadBytes: number;
}

type Handshake = Generator<number, GrantedExport, Buffer>;

/**
 * Runs the client's side of the handshake on a connected stream. It reads no byte beyond it: the first message of the transmission
 * phase is the server's answer to a request that has not been sent yet.
 */
export function runClientHandshake<T>(
  socket: Duplex,
  options: ClientHandshakeOptions,
  onGranted: (granted: GrantedExport) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const reader = new ByteReader();
    const handshake = negotiate(socket, options);
    let wanted = handshake.next(Buffer.alloc(0));
    const finish = (): void => {
      socket.off("data", onData);
      socket.off("end", onEnd);
      socket.off("close", onEnd);
      socket.off("error", onError);
    };
    const fail = (error: NbdError): void => {
      finish();
      reject(error);
    };
    const onEnd = (): void => {
      const text = `the server ended the negotiation of the export '${options.exportName}'`;
      fail(new NbdError("NBD_REFUSED", text));
    };
    const onError = (cause: Error): void =>
      fail(new NbdError("NBD_CLOSED", `the connection failed: ${cause.message}`, { cause }));
    const onData = (chunk: Buffer): void => {
      reader.feed(chunk);
      try {
        while (!wanted.done && reader.ensure(wanted.value)) {
          const bytes = Buffer.from(reader.buffer.subarray(reader.at, reader.at + wanted.value));
          reader.consume(wanted.value);
          wanted = handshake.next(bytes);
        }
      } catch (error) {
        fail(error instanceof NbdError ? error : new NbdError("NBD_PROTOCOL", String(error), { cause: error }));
        return;
      }
      if (!wanted.done) return;
      finish();
      if (reader.hasMore) reject(protocolError("more than its answers"));
      else resolve(onGranted(wanted.value));
    };
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("close", onEnd);
    socket.on("error", onError);
  });
}

/** Yields the number of bytes it needs next. */
function* negotiate(socket: Duplex, options: ClientHandshakeOptions): Handshake {
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

  const name = Buffer.from(options.exportName);
  let structured = false;
  let allocationId: number | undefined;
  if (options.structured) {
    structured = (yield* ask(socket, wire.OPT_STRUCTURED_REPLY, Buffer.alloc(0))).type === wire.REP_ACK;
    if (structured) allocationId = yield* selectAllocation(socket, name);
  }
  return { ...(yield* go(socket, name, options.exportName)), structured, allocationId };
}

function* selectAllocation(socket: Duplex, name: Buffer): Generator<number, number | undefined, Buffer> {
  const query = Buffer.from(wire.BASE_ALLOCATION);
  const data = Buffer.concat([uint32(name.length), name, uint32(1), uint32(query.length), query]);
  let id: number | undefined;
  yield* ask(socket, wire.OPT_SET_META_CONTEXT, data, (type, reply) => {
    if (type !== wire.REP_META_CONTEXT || reply.length < 4) throw protocolError("a malformed metadata context");
    if (reply.toString("utf8", 4) === wire.BASE_ALLOCATION) id = reply.readUInt32BE(0);
  });
  return id;
}

function* go(
  socket: Duplex,
  name: Buffer,
  exportName: string,
): Generator<number, Pick<GrantedExport, "sizeBytes" | "flags" | "maxPayloadBytes">, Buffer> {
  const wanted = Buffer.alloc(4);
  wanted.writeUInt16BE(1, 0);
  wanted.writeUInt16BE(wire.INFO_BLOCK_SIZE, 2);
  let size: bigint | undefined;
  let flags = 0;
  let maxPayloadBytes = wire.MAX_PAYLOAD_BYTES;
  const data = Buffer.concat([uint32(name.length), name, wanted]);
  const last = yield* ask(socket, wire.OPT_GO, data, (_type, reply) => {
    const info = reply.length >= 2 ? reply.readUInt16BE(0) : -1;
    if (info === wire.INFO_EXPORT && reply.length === 12) {
      size = reply.readBigUInt64BE(2);
      flags = reply.readUInt16BE(10);
    } else if (info === wire.INFO_BLOCK_SIZE && reply.length === 14) {
      maxPayloadBytes = Math.min(maxPayloadBytes, reply.readUInt32BE(10));
    }
  });
  if (last.type === wire.REP_ERR_UNKNOWN) {
    throw new NbdError("NBD_EXPORT_UNKNOWN", `the server has no export '${exportName}'${last.text}`);
  }
  if (last.type !== wire.REP_ACK) {
    const number = `0x${last.type.toString(16)}`;
    throw new NbdError("NBD_REFUSED", `the server refused the export '${exportName}' with ${number}${last.text}`);
  }
  if (size === undefined || size > BigInt(Number.MAX_SAFE_INTEGER)) throw protocolError("no size, or one beyond 2^53");
  if (maxPayloadBytes < 512) throw protocolError("an impossible limit for payloads");
  return { sizeBytes: Number(size), flags, maxPayloadBytes };
}

/** Sends an option and reads its replies up to the last one, an acknowledgement or an error. */
function* ask(
  socket: Duplex,
  option: number,
  data: Buffer,
  onReply: (type: number, reply: Buffer) => void = () => {},
): Generator<number, { readonly type: number; readonly text: string }, Buffer> {
  const head = Buffer.alloc(wire.OPTION_HEADER_BYTES);
  head.writeUInt32BE(wire.OPTION_MAGIC_HIGH, 0);
  head.writeUInt32BE(wire.OPTION_MAGIC_LOW, 4);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(data.length, 12);
  socket.write(Buffer.concat([head, data]));
  for (let count = 0; count < 1024; count++) {
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
    if (type >= 0x80000000) return { type, text: length > 0 ? `: ${body.toString("utf8").slice(0, 200)}` : "" };
    onReply(type, body);
  }
  throw protocolError("too many answers to one option");
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function protocolError(what: string): NbdError {
  return new NbdError("NBD_PROTOCOL", `the server sent ${what} while negotiating`);
}
