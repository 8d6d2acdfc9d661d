import type { Duplex } from "node:stream";
import type { BlockBackend, BlockExtent, DirtyExtent } from "../block-backend.ts";
import { NbdError } from "../nbd-error.ts";
import * as wire from "../wire/wire-constants.ts";
import { clientBackend } from "./client-backend.ts";
import { chooseExport, type GrantedExport, type NbdBlockSizes } from "./export-negotiation.ts";
import { type NbdAddress, type NbdReachOptions, openConnection } from "./open-connection.ts";
import { MAX_CONTEXTS } from "./reply-parser.ts";
import type { NbdRequestOptions, NbdWriteOptions, NbdWriteZeroesOptions } from "./request-options.ts";
import { RequestPipeline } from "./request-pipeline.ts";
import { allocationOf, dirtinessOf, type NbdStateExtent } from "./status-extents.ts";
import { MAX_RANGE_BYTES, StatusReader } from "./status-reader.ts";
import { unsupported } from "./unsupported.ts";

export interface NbdConnectOptions extends NbdReachOptions {
  /** Defaults to the empty name, the server's default export. */
  readonly exportName?: string;
  /** Names of dirty bitmaps to select, at most 63. Those that the server has are in `bitmaps` afterwards. Defaults to none. */
  readonly bitmaps?: readonly string[];
  /** How long the oldest request may go unanswered before the connection is given up, in milliseconds. Defaults to 60_000. */
  readonly requestTimeoutMs?: number;
  /** Asks for structured replies, without which there is no block status. Defaults to true. */
  readonly structured?: boolean;
}

/**
 * A connection to one export. Requests are pipelined: issue as many as memory allows, await them in any order; larger ones than the
 * server takes are split.
 *
 * Once the connection ends every request fails with a coded error and `closed` resolves.
 */
export class NbdClient {
  readonly readOnly: boolean;
  /** True when a flush on one connection covers the writes of all, so that several connections may be used together. */
  readonly canMultiConnect: boolean;
  readonly canTrim: boolean;
  readonly canWriteZeroes: boolean;
  /** True when the server can tell whether writing zeroes is fast. */
  readonly canFastZero: boolean;
  readonly canCache: boolean;
  /** True when the server lets clients change the export's size, by an extension of the protocol that is not final. */
  readonly canResize: boolean;
  /** True when block status is available: structured replies and `base:allocation` were granted. */
  readonly canBlockStatus: boolean;
  /** The dirty bitmaps that were asked for and granted. */
  readonly bitmaps: readonly string[];
  readonly blockSizes: NbdBlockSizes;
  /** Resolves when the connection has ended: undefined after `close()`, else the reason. Never rejects. */
  readonly closed: Promise<NbdError | undefined>;

  readonly #flags: number;
  #sizeBytes: number;
  readonly #pipeline: RequestPipeline;
  readonly #status: StatusReader;

  private constructor(socket: Duplex, granted: GrantedExport, requestTimeoutMs: number) {
    const has = (flag: number): boolean => (granted.flags & flag) !== 0;
    this.#sizeBytes = granted.sizeBytes;
    this.readOnly = has(wire.FLAG_READ_ONLY);
    this.canMultiConnect = has(wire.FLAG_CAN_MULTI_CONN);
    this.canTrim = has(wire.FLAG_SEND_TRIM);
    this.canWriteZeroes = has(wire.FLAG_SEND_WRITE_ZEROES);
    this.canFastZero = this.canWriteZeroes && has(wire.FLAG_SEND_FAST_ZERO);
    this.canCache = has(wire.FLAG_SEND_CACHE);
    this.canResize = !this.readOnly && has(wire.FLAG_SEND_RESIZE);
    this.blockSizes = granted.blockSizes;
    this.#flags = granted.flags;
    const contextIds = new Map([...granted.contexts].map(([id, name]) => [name, id]));
    this.canBlockStatus = contextIds.has(wire.BASE_ALLOCATION);
    this.bitmaps = [...contextIds.keys()]
      .filter((name) => name.startsWith(wire.DIRTY_BITMAP_PREFIX))
      .map((name) => name.slice(wire.DIRTY_BITMAP_PREFIX.length));
    this.#pipeline = new RequestPipeline(socket, granted.structured, requestTimeoutMs);
    this.#status = new StatusReader(this.#pipeline, contextIds);
    this.closed = this.#pipeline.closed;
  }

  /** Connects and negotiates. On failure nothing is left behind. */
  static async connect(address: NbdAddress, options: NbdConnectOptions = {}): Promise<NbdClient> {
    const { exportName = "", bitmaps = [], requestTimeoutMs = 60_000, structured = true } = options;
    const contexts = [wire.BASE_ALLOCATION, ...bitmaps.map((name) => `${wire.DIRTY_BITMAP_PREFIX}${name}`)];
    if ([exportName, ...contexts].some((text) => Buffer.byteLength(text) > wire.MAX_STRING_BYTES)) {
      throw new NbdError("NBD_INVALID_ARGUMENT", `a name has at most ${wire.MAX_STRING_BYTES} bytes`);
    }
    if (contexts.length > MAX_CONTEXTS) {
      throw new NbdError("NBD_INVALID_ARGUMENT", `at most ${MAX_CONTEXTS - 1} bitmaps are selected at once`);
    }
    return openConnection(address, options, {
      what: `the connection to the export '${exportName}'`,
      exchange: (socket, { noZeroes }) => chooseExport(socket, { exportName, structured, contexts, noZeroes }),
      onDone: (socket, granted) => new NbdClient(socket, granted, requestTimeoutMs),
    });
  }

  /** As the server told when this connection was made, or as `resize` has made it since. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#pipeline.isOpen;
  }

  /** Fills the whole of `target` from `offset`. */
  read(target: Buffer, offset: number, options: NbdRequestOptions = {}): Promise<void> {
    return this.#split(target.length, offset, this.blockSizes.maximum, (at, length) =>
      this.#pipeline.send({
        command: wire.CMD_READ,
        offset: offset + at,
        length,
        target: target.subarray(at, at + length),
        signal: options.signal,
      }),
    );
  }

  /** Writes the whole of `source` at `offset`. It must not be changed before the answer. */
  write(source: Buffer, offset: number, options: NbdWriteOptions = {}): Promise<void> {
    return this.#split(source.length, offset, this.blockSizes.maximum, (at, length) =>
      this.#pipeline.send({
        command: wire.CMD_WRITE,
        offset: offset + at,
        length,
        flags: this.#fua(options),
        source: source.subarray(at, at + length),
        signal: options.signal,
      }),
    );
  }

  /** Answers once all writes answered before are on stable storage. Answers at once where the server has no flush. */
  async flush(options: NbdRequestOptions = {}): Promise<void> {
    if ((this.#flags & wire.FLAG_SEND_FLUSH) === 0) return;
    await this.#pipeline.send({ command: wire.CMD_FLUSH, offset: 0, length: 0, signal: options.signal });
  }

  /** Gives up the contents of a range. Fails with `NBD_UNSUPPORTED` where `canTrim` is false. */
  async trim(offset: number, length: number, options: NbdWriteOptions = {}): Promise<void> {
    if (!this.canTrim) throw unsupported("trim");
    await this.#range(wire.CMD_TRIM, offset, length, this.#fua(options), options.signal);
  }

  /** Makes a range read as zeroes. Fails with `NBD_UNSUPPORTED` where `canWriteZeroes`, or for `fast` `canFastZero`, is false. */
  async writeZeroes(offset: number, length: number, options: NbdWriteZeroesOptions = {}): Promise<void> {
    if (!this.canWriteZeroes) throw unsupported("write zeroes");
    if (options.fast && !this.canFastZero) throw unsupported("fast zeroes");
    const noHole = options.noHole ? wire.CMD_FLAG_NO_HOLE : 0;
    const fast = options.fast ? wire.CMD_FLAG_FAST_ZERO : 0;
    await this.#range(wire.CMD_WRITE_ZEROES, offset, length, this.#fua(options) | noHole | fast, options.signal);
  }

  /** Lets the server read a range ahead. Fails with `NBD_UNSUPPORTED` where `canCache` is false. */
  async cache(offset: number, length: number, options: NbdRequestOptions = {}): Promise<void> {
    if (!this.canCache) throw unsupported("cache");
    await this.#range(wire.CMD_CACHE, offset, length, 0, options.signal);
  }

  /**
   * Changes the size of the export, in whole blocks of the server's smallest size. `sizeBytes` is the new one afterwards; other connections keep what they were told. Whether it
   * may become smaller is the server's to say. Fails with `NBD_UNSUPPORTED` where `canResize` is false.
   */
  async resize(sizeBytes: number, options: NbdWriteOptions = {}): Promise<void> {
    if (!this.canResize) throw unsupported("resize");
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes % this.blockSizes.minimum !== 0) {
      throw new NbdError("NBD_INVALID_ARGUMENT", `'${sizeBytes}' is no size that an export can have`);
    }
    const flags = this.#fua(options);
    await this.#pipeline.send({
      command: wire.CMD_RESIZE,
      offset: sizeBytes,
      length: 0,
      flags,
      signal: options.signal,
    });
    this.#sizeBytes = sizeBytes;
  }

  /**
   * The extents from `offset` on. The server may describe less than `length` bytes, but at least one extent.
   * Fails with `NBD_UNSUPPORTED` where `canBlockStatus` is false.
   */
  async blockStatus(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    this.#assertRange(length, offset);
    return (await this.#status.read(wire.BASE_ALLOCATION, offset, length, options.signal)).map(allocationOf);
  }

  /** All extents of a range: `blockStatus` as often as it takes. */
  async extents(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    return (await this.#allStates(wire.BASE_ALLOCATION, offset, length, options)).map(allocationOf);
  }

  /** What a dirty bitmap says of a range, whole. Fails with `NBD_UNSUPPORTED` for one that is not among `bitmaps`. */
  async dirtyExtents(
    bitmap: string,
    offset: number,
    length: number,
    options: NbdRequestOptions = {},
  ): Promise<DirtyExtent[]> {
    const context = `${wire.DIRTY_BITMAP_PREFIX}${bitmap}`;
    return (await this.#allStates(context, offset, length, options)).map(dirtinessOf);
  }

  /** This export as a backend, so that a server can export it again. It does what the export can, and fails once the client does. */
  asBackend(): BlockBackend {
    return clientBackend(this);
  }

  /** Says goodbye and closes. What is in flight fails with `NBD_CLOSED`: await it first. May be called twice. */
  async close(): Promise<void> {
    await this.#pipeline.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #allStates(context: string, offset: number, length: number, options: NbdRequestOptions): Promise<NbdStateExtent[]> {
    this.#assertRange(length, offset);
    return this.#status.readAll(context, offset, length, options.signal);
  }

  #fua(options: NbdWriteOptions): number {
    if (!options.fua) return 0;
    if ((this.#flags & wire.FLAG_SEND_FUA) === 0) throw unsupported("FUA");
    return wire.CMD_FLAG_FUA;
  }

  async #range(command: number, offset: number, length: number, flags: number, signal?: AbortSignal): Promise<void> {
    await this.#split(length, offset, MAX_RANGE_BYTES, (at, bytes) =>
      this.#pipeline.send({ command, offset: offset + at, length: bytes, flags, signal }),
    );
  }

  #assertRange(length: number, offset: number): void {
    const { minimum } = this.blockSizes;
    const isInside = Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.sizeBytes;
    if (isInside && offset % minimum === 0 && length % minimum === 0) return;
    const rule = isInside
      ? `in whole blocks of the server's ${minimum} bytes`
      : `within the export's ${this.sizeBytes} bytes`;
    throw new NbdError("NBD_INVALID_ARGUMENT", `the range of ${length} bytes at ${offset} is not ${rule}`);
  }

  async #split(
    length: number,
    offset: number,
    most: number,
    send: (at: number, length: number) => Promise<unknown>,
  ): Promise<void> {
    this.#assertRange(length, offset);
    if (length <= most) {
      if (length > 0) await send(0, length);
      return;
    }
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < length; at += most) parts.push(send(at, Math.min(most, length - at)));
    await Promise.all(parts);
  }
}
