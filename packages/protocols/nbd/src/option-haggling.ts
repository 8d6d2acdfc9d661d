import type { Duplex } from "node:stream";
import type { ByteReader } from "./byte-reader.ts";
import type { NbdExport } from "./nbd-export.ts";
import * as wire from "./wire-constants.ts";

/** An option's data is a name and a few queries; more than this is not read. */
const MAX_OPTION_BYTES = 64 * 1024;
const MAX_OPTIONS = 1024;
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a client has agreed on with the server. */
export interface NegotiatedExport {
  readonly target: NbdExport;
  readonly structured: boolean;
  /** True when `base:allocation` was selected for this export. */
  readonly baseAllocation: boolean;
}

export interface OptionHagglingOptions {
  readonly socket: Duplex;
  readonly reader: ByteReader;
  /** Every export that may be listed. */
  readonly exports: () => Iterable<NbdExport>;
  readonly find: (name: string) => NbdExport | undefined;
  /** False refuses the client. Called before the export is granted. */
  readonly admit: (target: NbdExport) => boolean;
  readonly isShuttingDown: () => boolean;
}

/** What to do next: await more bytes, go over to transmission, end orderly, or drop the connection. */
export type HagglingStep = "more" | "end" | "drop" | NegotiatedExport;

/**
 * The server's side of the fixed newstyle handshake. Its `step` handles at most one option, so that the caller can check how much is
 * queued for a client that doesn't read.
 */
export class OptionHaggling {
  readonly #options: OptionHagglingOptions;
  readonly #socket: Duplex;
  readonly #reader: ByteReader;
  #greeted = false;
  #noZeroes = false;
  #structured = false;
  #contextFor: NbdExport | undefined;
  #option = -1;
  #length = 0;
  #count = 0;

  constructor(options: OptionHagglingOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#reader = options.reader;
  }

  /** Sends the server's greeting. */
  greet(): void {
    const bytes = Buffer.alloc(wire.GREETING_BYTES);
    bytes.writeUInt32BE(wire.NBD_MAGIC_HIGH, 0);
    bytes.writeUInt32BE(wire.NBD_MAGIC_LOW, 4);
    bytes.writeUInt32BE(wire.OPTION_MAGIC_HIGH, 8);
    bytes.writeUInt32BE(wire.OPTION_MAGIC_LOW, 12);
    bytes.writeUInt16BE(wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES, 16);
    this.#socket.write(bytes);
  }

  /** Handles one message; undefined when there may be more of them in the chunk. */
  step(): HagglingStep | undefined {
    const reader = this.#reader;
    if (!this.#greeted) {
      if (!reader.ensure(4)) return "more";
      const flags = reader.buffer.readUInt32BE(reader.at);
      reader.consume(4);
      if ((flags & ~(wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES)) !== 0) return "drop";
      this.#noZeroes = (flags & wire.FLAG_NO_ZEROES) !== 0;
      this.#greeted = true;
      return undefined;
    }
    if (this.#option === -1) {
      if (!reader.ensure(wire.OPTION_HEADER_BYTES)) return "more";
      const { buffer, at } = reader;
      const isOption =
        buffer.readUInt32BE(at) === wire.OPTION_MAGIC_HIGH && buffer.readUInt32BE(at + 4) === wire.OPTION_MAGIC_LOW;
      this.#option = buffer.readUInt32BE(at + 8);
      this.#length = buffer.readUInt32BE(at + 12);
      reader.consume(wire.OPTION_HEADER_BYTES);
      if (!isOption || this.#length > MAX_OPTION_BYTES || ++this.#count > MAX_OPTIONS) return "drop";
    }
    if (!reader.ensure(this.#length)) return "more";
    const data = reader.buffer.subarray(reader.at, reader.at + this.#length);
    reader.consume(this.#length);
    const option = this.#option;
    this.#option = -1;
    return this.#answer(option, data);
  }

  #answer(option: number, data: Buffer): HagglingStep | undefined {
    if (option === wire.OPT_ABORT) {
      this.#reply(option, wire.REP_ACK);
      return "end";
    }
    if (this.#options.isShuttingDown()) {
      if (option === wire.OPT_EXPORT_NAME) return "drop";
      this.#reply(option, wire.REP_ERR_SHUTDOWN);
      return undefined;
    }
    switch (option) {
      case wire.OPT_EXPORT_NAME:
        return this.#exportName(data);
      case wire.OPT_LIST:
        this.#list(data);
        return undefined;
      case wire.OPT_INFO:
      case wire.OPT_GO:
        return this.#info(option, data);
      case wire.OPT_STRUCTURED_REPLY:
        if (data.length > 0) this.#reply(option, wire.REP_ERR_INVALID);
        else {
          this.#structured = true;
          this.#reply(option, wire.REP_ACK);
        }
        return undefined;
      case wire.OPT_LIST_META_CONTEXT:
      case wire.OPT_SET_META_CONTEXT:
        this.#metaContext(option, data);
        return undefined;
      default:
        // Among them STARTTLS, and the extended headers that are still an experiment.
        this.#reply(option, wire.REP_ERR_UNSUP);
        return undefined;
    }
  }

  #exportName(data: Buffer): HagglingStep {
    const name = decode(data);
    const target = name === undefined ? undefined : this.#options.find(name);
    if (!target || !this.#options.admit(target)) return "drop";
    const bytes = Buffer.alloc(this.#noZeroes ? 10 : 134);
    bytes.writeBigUInt64BE(BigInt(target.backend.sizeBytes), 0);
    bytes.writeUInt16BE(target.flags(this.#structured), 8);
    this.#socket.write(bytes);
    return this.#negotiated(target);
  }

  #list(data: Buffer): void {
    if (data.length > 0) {
      this.#reply(wire.OPT_LIST, wire.REP_ERR_INVALID);
      return;
    }
    for (const { name, description } of this.#options.exports()) {
      const bytes = Buffer.from(name);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      this.#reply(wire.OPT_LIST, wire.REP_SERVER, Buffer.concat([length, bytes, Buffer.from(description ?? "")]));
    }
    this.#reply(wire.OPT_LIST, wire.REP_ACK);
  }

  #info(option: number, data: Buffer): HagglingStep | undefined {
    const nameBytes = data.length >= 6 ? data.readUInt32BE(0) : -1;
    const countAt = 4 + nameBytes;
    if (nameBytes < 0 || countAt + 2 > data.length || data.length !== countAt + 2 + 2 * data.readUInt16BE(countAt)) {
      this.#reply(option, wire.REP_ERR_INVALID);
      return undefined;
    }
    const name = decode(data.subarray(4, countAt));
    const target = name === undefined ? undefined : this.#options.find(name);
    if (!target) {
      this.#reply(option, wire.REP_ERR_UNKNOWN);
      return undefined;
    }
    if (option === wire.OPT_GO && !this.#options.admit(target)) {
      this.#reply(option, wire.REP_ERR_POLICY);
      return undefined;
    }
    const wanted = new Set<number>();
    for (let at = countAt + 2; at < data.length; at += 2) wanted.add(data.readUInt16BE(at));
    const shape = Buffer.alloc(12);
    shape.writeUInt16BE(wire.INFO_EXPORT, 0);
    shape.writeBigUInt64BE(BigInt(target.backend.sizeBytes), 2);
    shape.writeUInt16BE(target.flags(this.#structured), 10);
    this.#reply(option, wire.REP_INFO, shape);
    if (wanted.has(wire.INFO_NAME)) this.#replyText(option, wire.INFO_NAME, target.name);
    if (wanted.has(wire.INFO_DESCRIPTION) && target.description !== undefined) {
      this.#replyText(option, wire.INFO_DESCRIPTION, target.description);
    }
    if (wanted.has(wire.INFO_BLOCK_SIZE)) {
      const sizes = Buffer.alloc(14);
      sizes.writeUInt16BE(wire.INFO_BLOCK_SIZE, 0);
      sizes.writeUInt32BE(1, 2);
      sizes.writeUInt32BE(4096, 6);
      sizes.writeUInt32BE(wire.MAX_PAYLOAD_BYTES, 10);
      this.#reply(option, wire.REP_INFO, sizes);
    }
    this.#reply(option, wire.REP_ACK);
    return option === wire.OPT_GO ? this.#negotiated(target) : undefined;
  }

  #metaContext(option: number, data: Buffer): void {
    const isSet = option === wire.OPT_SET_META_CONTEXT;
    if (isSet) this.#contextFor = undefined;
    const request = this.#structured ? parseMetaContext(data) : undefined;
    if (!request) {
      this.#reply(option, wire.REP_ERR_INVALID);
      return;
    }
    const target = this.#options.find(request.name);
    if (!target) {
      this.#reply(option, wire.REP_ERR_UNKNOWN);
      return;
    }
    const { queries } = request;
    const asked =
      queries.includes(wire.BASE_ALLOCATION) || (!isSet && (queries.length === 0 || queries.includes("base:")));
    if (asked && target.backend.extents) {
      if (isSet) this.#contextFor = target;
      const id = Buffer.alloc(4);
      id.writeUInt32BE(isSet ? BASE_ALLOCATION_ID : 0);
      this.#reply(option, wire.REP_META_CONTEXT, Buffer.concat([id, Buffer.from(wire.BASE_ALLOCATION)]));
    }
    this.#reply(option, wire.REP_ACK);
  }

  #negotiated(target: NbdExport): NegotiatedExport {
    return { target, structured: this.#structured, baseAllocation: this.#contextFor === target };
  }

  #replyText(option: number, type: number, text: string): void {
    const head = Buffer.alloc(2);
    head.writeUInt16BE(type);
    this.#reply(option, wire.REP_INFO, Buffer.concat([head, Buffer.from(text)]));
  }

  #reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(wire.OPTION_REPLY_BYTES);
    head.writeUInt32BE(wire.OPTION_REPLY_MAGIC_HIGH, 0);
    head.writeUInt32BE(wire.OPTION_REPLY_MAGIC_LOW, 4);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(data.length, 16);
    this.#socket.write(data.length > 0 ? Buffer.concat([head, data]) : head);
  }
}

/** The id under which `base:allocation` is reported. */
export const BASE_ALLOCATION_ID = 1;

function decode(bytes: Buffer): string | undefined {
  if (bytes.length > wire.MAX_STRING_BYTES) return undefined;
  try {
    return DECODER.decode(bytes);
  } catch {
    return undefined;
  }
}

function parseMetaContext(data: Buffer): { readonly name: string; readonly queries: readonly string[] } | undefined {
  let at = 0;
  const number = (): number => {
    at += 4;
    return at <= data.length ? data.readUInt32BE(at - 4) : Number.POSITIVE_INFINITY;
  };
  const text = (): string | undefined => {
    const length = number();
    at += length;
    return at <= data.length ? decode(data.subarray(at - length, at)) : undefined;
  };
  const name = text();
  if (name === undefined) return undefined;
  const queries: string[] = [];
  const count = number();
  // The data's end ends the loop long before a hostile count does.
  for (let index = 0; index < count; index++) {
    const query = text();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return at === data.length ? { name, queries } : undefined;
}
