import type { Duplex } from "node:stream";
import { NbdError } from "../nbd-error.ts";
import * as wire from "../wire/wire-constants.ts";
import { ask, type Exchange, protocolError, sendOption, uint32 } from "./client-handshake.ts";

export interface ExportNegotiationOptions {
  readonly exportName: string;
  /** Whether to ask for structured replies, and so for metadata contexts. */
  readonly structured: boolean;
  readonly contexts: readonly string[];
  /** What was agreed on in the greeting. */
  readonly noZeroes: boolean;
}

/** What the server granted. */
export interface GrantedExport {
  readonly sizeBytes: number;
  /** The transmission flags. */
  readonly flags: number;
  readonly structured: boolean;
  /** The names of the metadata contexts by their ids. */
  readonly contexts: ReadonlyMap<number, string>;
  readonly blockSizes: NbdBlockSizes;
}

/** What a server says of the sizes of requests ("Block size constraints"), in bytes. */
export interface NbdBlockSizes {
  /** Offsets and lengths must be multiples of it. */
  readonly minimum: number;
  /** Multiples of it are served best. */
  readonly preferred: number;
  /** The largest payload; the client splits larger requests. */
  readonly maximum: number;
}

type Shape = Pick<GrantedExport, "sizeBytes" | "flags" | "blockSizes">;

/** Sizes that every server takes that says nothing else. */
const DEFAULT_SIZES: NbdBlockSizes = { minimum: 1, preferred: 4096, maximum: wire.MAX_PAYLOAD_BYTES };

/** Chooses an export; after it the transmission phase has begun. */
export function* chooseExport(socket: Duplex, options: ExportNegotiationOptions): Exchange<GrantedExport> {
  const name = Buffer.from(options.exportName);
  let structured = false;
  let contexts: ReadonlyMap<number, string> = new Map();
  if (options.structured) {
    structured = (yield* ask(socket, wire.OPT_STRUCTURED_REPLY, Buffer.alloc(0))).type === wire.REP_ACK;
    if (structured) contexts = yield* selectContexts(socket, name, options.contexts);
  }
  const shape = (yield* go(socket, name, options.exportName)) ?? (yield* goOldWay(socket, name, options.noZeroes));
  return { ...shape, structured, contexts };
}

function* selectContexts(socket: Duplex, name: Buffer, wanted: readonly string[]): Exchange<Map<number, string>> {
  const queries = wanted.map((context) => Buffer.from(context)).flatMap((query) => [uint32(query.length), query]);
  const data = Buffer.concat([uint32(name.length), name, uint32(wanted.length), ...queries]);
  const contexts = new Map<number, string>();
  const last = yield* ask(socket, wire.OPT_SET_META_CONTEXT, data, (type, reply) => {
    if (type !== wire.REP_META_CONTEXT || reply.length < 4) throw protocolError("a malformed metadata context");
    const context = reply.toString("utf8", 4);
    const id = reply.readUInt32BE(0);
    if (!wanted.includes(context)) return;
    if (contexts.has(id)) throw protocolError("two metadata contexts with one number");
    contexts.set(id, context);
  });
  return last.type === wire.REP_ACK ? contexts : new Map();
}

/** Undefined where the server is too old to know this. */
function* go(socket: Duplex, name: Buffer, exportName: string): Exchange<Shape | undefined> {
  const wanted = Buffer.alloc(4);
  wanted.writeUInt16BE(1, 0);
  wanted.writeUInt16BE(wire.INFO_BLOCK_SIZE, 2);
  let size: bigint | undefined;
  let flags = 0;
  let blockSizes = DEFAULT_SIZES;
  const data = Buffer.concat([uint32(name.length), name, wanted]);
  const last = yield* ask(socket, wire.OPT_GO, data, (_type, reply) => {
    const info = reply.length >= 2 ? reply.readUInt16BE(0) : -1;
    if (info === wire.INFO_EXPORT && reply.length === 12) {
      size = reply.readBigUInt64BE(2);
      flags = reply.readUInt16BE(10);
    } else if (info === wire.INFO_BLOCK_SIZE && reply.length === 14) {
      blockSizes = readBlockSizes(reply);
    }
  });
  if (last.type === wire.REP_ERR_UNSUP) return undefined;
  if (last.type === wire.REP_ERR_UNKNOWN) {
    throw new NbdError("NBD_EXPORT_UNKNOWN", `the server has no export '${exportName}'${last.text}`);
  }
  if (last.type !== wire.REP_ACK) {
    const number = `0x${last.type.toString(16)}`;
    throw new NbdError("NBD_REFUSED", `the server refused the export '${exportName}' with ${number}${last.text}`);
  }
  if (size === undefined) throw protocolError("no size");
  return { sizeBytes: sizeOf(size), flags, blockSizes };
}

/** The option of servers before `GO`, which end the connection where they refuse. */
function* goOldWay(socket: Duplex, name: Buffer, noZeroes: boolean): Exchange<Shape> {
  sendOption(socket, wire.OPT_EXPORT_NAME, name);
  const shape = yield noZeroes ? 10 : 134;
  return { sizeBytes: sizeOf(shape.readBigUInt64BE(0)), flags: shape.readUInt16BE(8), blockSizes: DEFAULT_SIZES };
}

function readBlockSizes(reply: Buffer): NbdBlockSizes {
  const minimum = reply.readUInt32BE(2);
  const preferred = reply.readUInt32BE(6);
  const maximum = Math.min(reply.readUInt32BE(10), wire.MAX_PAYLOAD_BYTES);
  const isPower = (value: number): boolean => value > 0 && Number.isInteger(Math.log2(value));
  if (!isPower(minimum) || minimum > 65536 || !isPower(preferred) || maximum < 512 || maximum % minimum !== 0) {
    throw protocolError("impossible sizes of blocks");
  }
  return { minimum, preferred, maximum };
}

function sizeOf(size: bigint): number {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw protocolError("a size beyond 2^53");
  return Number(size);
}
