import type { Duplex } from "node:stream";
import type { ByteReader } from "../wire/byte-reader.ts";
import * as wire from "../wire/wire-constants.ts";
import { contextsOf, type MetaContext, matchContexts, type SelectedContext } from "./meta-context.ts";
import type { NbdExport } from "./nbd-export.ts";
import { decodeString, parseContextQuery, parseInfoQuery } from "./option-queries.ts";

/** An option's data is a name and a few queries; more than this is not read. */
const MAX_OPTION_BYTES = 64 * 1024;
const MAX_OPTIONS = 1024;

/**
 * How a listener deals with TLS: `required` is the protocol's FORCEDTLS, `offered` its SELECTIVETLS, `off` its NOTLS mode.
 */
export type TlsMode = "required" | "offered" | "off";

/** What a client has agreed on with the server. */
export interface NegotiatedExport {
  readonly target: NbdExport;
  readonly structured: boolean;
  readonly contexts: readonly SelectedContext[];
}

export interface OptionHagglingOptions {
  readonly reader: ByteReader;
  readonly tls: TlsMode;
  readonly exports: () => Iterable<NbdExport>;
  readonly find: (name: string) => NbdExport | undefined;
  /** False refuses the client. Called before the export is granted. */
  readonly admit: (target: NbdExport) => boolean;
  readonly isShuttingDown: () => boolean;
}

/** What to do next: await more bytes, go over to TLS or to transmission, end orderly, or drop the connection. */
export type HagglingStep = "more" | "end" | "drop" | "tls" | NegotiatedExport;

/**
 * The server's side of the fixed newstyle handshake. Its `step` handles at most one option, so that the caller can check how much is
 * queued for a client that doesn't read.
 */
export class OptionHaggling {
  readonly #options: OptionHagglingOptions;
  readonly #reader: ByteReader;
  #socket: Duplex;
  #isEncrypted = false;
  #greeted = false;
  #noZeroes = false;
  #structured = false;
  #contexts: { readonly target: NbdExport; readonly selected: readonly SelectedContext[] } | undefined;
  #option = -1;
  #length = 0;
  #count = 0;

  constructor(socket: Duplex, options: OptionHagglingOptions) {
    this.#options = options;
    this.#socket = socket;
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

  /** Goes on over TLS. What was negotiated without it is forgotten, as the protocol demands. */
  encrypted(socket: Duplex): void {
    this.#socket = socket;
    this.#isEncrypted = true;
    this.#structured = false;
    this.#contexts = undefined;
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
    if (option === wire.OPT_STARTTLS) return this.#startTls(data);
    const refusal = this.#generalRefusal();
    if (refusal !== undefined) {
      // Its answer has no place for an error.
      if (option === wire.OPT_EXPORT_NAME) return "drop";
      this.#reply(option, refusal);
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
        if (data.length === 0) this.#structured = true;
        this.#reply(option, data.length > 0 ? wire.REP_ERR_INVALID : wire.REP_ACK);
        return undefined;
      case wire.OPT_LIST_META_CONTEXT:
      case wire.OPT_SET_META_CONTEXT:
        this.#metaContext(option, data);
        return undefined;
      default:
        // Among them the extended headers, which no client needs.
        this.#reply(option, wire.REP_ERR_UNSUP);
        return undefined;
    }
  }

  #generalRefusal(): number | undefined {
    if (this.#options.tls === "required" && !this.#isEncrypted) return wire.REP_ERR_TLS_REQD;
    return this.#options.isShuttingDown() ? wire.REP_ERR_SHUTDOWN : undefined;
  }

  #startTls(data: Buffer): HagglingStep | undefined {
    const option = wire.OPT_STARTTLS;
    if (this.#options.tls === "off") {
      this.#reply(option, wire.REP_ERR_UNSUP);
      return undefined;
    }
    if (this.#isEncrypted || data.length > 0) {
      this.#reply(option, wire.REP_ERR_INVALID);
      return undefined;
    }
    // What came behind it in clear could have been slipped in by someone on the way.
    if (this.#reader.hasMore) return "drop";
    this.#reply(option, wire.REP_ACK);
    return "tls";
  }

  /** True for an export that this client may not know of. */
  #isHidden(target: NbdExport): boolean {
    return target.tlsOnly && !this.#isEncrypted;
  }

  #exportName(data: Buffer): HagglingStep {
    const name = decodeString(data);
    const target = name === undefined ? undefined : this.#options.find(name);
    if (!target || this.#isHidden(target) || !this.#options.admit(target)) return "drop";
    const bytes = Buffer.alloc(this.#noZeroes ? 10 : 134);
    bytes.writeBigUInt64BE(BigInt(target.sizeBytes), 0);
    bytes.writeUInt16BE(target.flags(this.#structured), 8);
    this.#socket.write(bytes);
    return this.#negotiated(target);
  }

  #list(data: Buffer): void {
    if (data.length > 0) {
      this.#reply(wire.OPT_LIST, wire.REP_ERR_INVALID);
      return;
    }
    for (const target of this.#options.exports()) {
      if (this.#isHidden(target)) continue;
      const bytes = Buffer.from(target.name);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      const description = Buffer.from(target.description ?? "");
      this.#reply(wire.OPT_LIST, wire.REP_SERVER, Buffer.concat([length, bytes, description]));
    }
    this.#reply(wire.OPT_LIST, wire.REP_ACK);
  }

  #info(option: number, data: Buffer): HagglingStep | undefined {
    const query = parseInfoQuery(data);
    if (!query) {
      this.#reply(option, wire.REP_ERR_INVALID);
      return undefined;
    }
    const target = query.name === undefined ? undefined : this.#options.find(query.name);
    if (!target || this.#isHidden(target)) {
      // An unknown export must look like a hidden one.
      const mayBeHidden =
        this.#options.tls === "offered" && [...this.#options.exports()].some((e) => this.#isHidden(e));
      this.#reply(option, mayBeHidden ? wire.REP_ERR_TLS_REQD : wire.REP_ERR_UNKNOWN);
      return undefined;
    }
    if (option === wire.OPT_GO && !this.#options.admit(target)) {
      this.#reply(option, wire.REP_ERR_POLICY);
      return undefined;
    }
    const { wanted } = query;
    const shape = Buffer.alloc(12);
    shape.writeUInt16BE(wire.INFO_EXPORT, 0);
    shape.writeBigUInt64BE(BigInt(target.sizeBytes), 2);
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
    const isSelection = option === wire.OPT_SET_META_CONTEXT;
    if (isSelection) this.#contexts = undefined;
    const query = this.#structured ? parseContextQuery(data) : undefined;
    if (!query) {
      this.#reply(option, wire.REP_ERR_INVALID);
      return;
    }
    const target = this.#options.find(query.name);
    if (!target || this.#isHidden(target)) {
      this.#reply(option, wire.REP_ERR_UNKNOWN);
      return;
    }
    let available: readonly MetaContext[];
    try {
      available = contextsOf(target.backend);
    } catch {
      this.#reply(option, wire.REP_ERR_PLATFORM);
      return;
    }
    const found = matchContexts(available, query.queries, isSelection);
    const selected = found.map((context, index) => ({ context, id: isSelection ? index + 1 : 0 }));
    if (isSelection) this.#contexts = { target, selected };
    for (const { id, context } of selected) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(id);
      this.#reply(option, wire.REP_META_CONTEXT, Buffer.concat([head, Buffer.from(context.name)]));
    }
    this.#reply(option, wire.REP_ACK);
  }

  #negotiated(target: NbdExport): NegotiatedExport {
    const contexts = this.#contexts?.target === target ? this.#contexts.selected : [];
    return { target, structured: this.#structured, contexts };
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
