import type { Duplex } from "node:stream";
import type { BlockExtent } from "./block-backend.ts";
import type { GrantedExport } from "./client-handshake.ts";
import { NbdError } from "./nbd-error.ts";
import { type NbdAddress, type NbdConnectOptions, openConnection } from "./open-connection.ts";
import { RequestPipeline } from "./request-pipeline.ts";
import * as wire from "./wire-constants.ts";

export interface NbdRequestOptions {
  /** Gives up waiting with `NBD_ABORTED`. A change may still take effect. */
  readonly signal?: AbortSignal;
}

export interface NbdWriteOptions extends NbdRequestOptions {
  /** Answers only once the data is on stable storage. Defaults to false. */
  readonly fua?: boolean;
}

export interface NbdWriteZeroesOptions extends NbdWriteOptions {
  /** Keeps the range allocated. Defaults to false. */
  readonly noHole?: boolean;
}

/** The longest range of a request without payload that fits its field and stays aligned. */
const MAX_RANGE_BYTES = 0x8000_0000;

/**
 * A connection to one export. Requests are pipelined: issue as many as memory allows, await them in any order; larger ones than the
 * server takes are split. It has the methods of a `BlockBackend`, so a server can export it again.
 *
 * Once the connection ends every request fails with a coded error and `closed` resolves.
 */
export class NbdClient {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** True when a flush on one connection covers the writes of all, so that several connections may be used together. */
  readonly canMultiConnect: boolean;
  readonly canTrim: boolean;
  readonly canWriteZeroes: boolean;
  /** True when block status is available: structured replies and `base:allocation` were granted. */
  readonly canBlockStatus: boolean;
  /** Resolves when the connection has ended: undefined after `close()`, else the reason. Never rejects. */
  readonly closed: Promise<NbdError | undefined>;

  readonly #granted: GrantedExport;
  readonly #pipeline: RequestPipeline;

  private constructor(socket: Duplex, granted: GrantedExport, requestTimeoutMs: number) {
    const has = (flag: number): boolean => (granted.flags & flag) !== 0;
    this.sizeBytes = granted.sizeBytes;
    this.readOnly = has(wire.FLAG_READ_ONLY);
    this.canMultiConnect = has(wire.FLAG_CAN_MULTI_CONN);
    this.canTrim = has(wire.FLAG_SEND_TRIM);
    this.canWriteZeroes = has(wire.FLAG_SEND_WRITE_ZEROES);
    this.canBlockStatus = granted.allocationId !== undefined;
    this.#granted = granted;
    this.#pipeline = new RequestPipeline(socket, granted, requestTimeoutMs);
    this.closed = this.#pipeline.closed;
  }

  /** Connects and negotiates. On failure nothing is left behind. */
  static async connect(address: NbdAddress, options: NbdConnectOptions = {}): Promise<NbdClient> {
    const requestTimeoutMs = options.requestTimeoutMs ?? 60_000;
    return openConnection(address, options, (socket, granted) => new NbdClient(socket, granted, requestTimeoutMs));
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#pipeline.isOpen;
  }

  /** True when a flush covers the writes of every connection; the name under which a `BlockBackend` says so. */
  get sharedFlush(): boolean {
    return this.canMultiConnect;
  }

  /** Fills the whole of `target` from `offset`. */
  read(target: Buffer, offset: number, options: NbdRequestOptions = {}): Promise<void> {
    return this.#split(target.length, offset, this.#granted.maxPayloadBytes, (at, length) =>
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
    return this.#split(source.length, offset, this.#granted.maxPayloadBytes, (at, length) =>
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
    if ((this.#granted.flags & wire.FLAG_SEND_FLUSH) === 0) return;
    await this.#pipeline.send({ command: wire.CMD_FLUSH, offset: 0, length: 0, signal: options.signal });
  }

  /** Gives up the contents of a range. Fails with `NBD_UNSUPPORTED` where `canTrim` is false. */
  async trim(offset: number, length: number, options: NbdWriteOptions = {}): Promise<void> {
    if (!this.canTrim) throw unsupported("trim");
    await this.#range(wire.CMD_TRIM, offset, length, this.#fua(options), options.signal);
  }

  /** Makes a range read as zeroes. Fails with `NBD_UNSUPPORTED` where `canWriteZeroes` is false. */
  async writeZeroes(offset: number, length: number, options: NbdWriteZeroesOptions = {}): Promise<void> {
    if (!this.canWriteZeroes) throw unsupported("write zeroes");
    const flags = this.#fua(options) | (options.noHole ? wire.CMD_FLAG_NO_HOLE : 0);
    await this.#range(wire.CMD_WRITE_ZEROES, offset, length, flags, options.signal);
  }

  /**
   * The extents from `offset` on. The server may describe less than `length` bytes, but at least one extent.
   * Fails with `NBD_UNSUPPORTED` where `canBlockStatus` is false.
   */
  async blockStatus(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    if (!this.canBlockStatus) throw unsupported("block status");
    const asked = Math.min(length, MAX_RANGE_BYTES);
    const send = { command: wire.CMD_BLOCK_STATUS, offset, length: asked, signal: options.signal };
    const payload = await this.#pipeline.send(send);
    const extents: BlockExtent[] = [];
    let left = asked;
    if (!payload || payload.readUInt32BE(0) !== this.#granted.allocationId) {
      throw this.#pipeline.broken("a status of another context");
    }
    for (let at = 4; at < payload.length && left > 0; at += 8) {
      const bytes = payload.readUInt32BE(at);
      if (bytes === 0) throw this.#pipeline.broken("an empty extent");
      // The last extent may reach further than what was asked.
      extents.push({ length: Math.min(bytes, left), kind: kindOf(payload.readUInt32BE(at + 4)) });
      left -= bytes;
    }
    return extents;
  }

  /** All extents of a range: `blockStatus` as often as it takes. */
  async extents(offset: number, length: number, options: NbdRequestOptions = {}): Promise<BlockExtent[]> {
    const all: BlockExtent[] = [];
    for (let at = offset; at < offset + length; ) {
      for (const extent of await this.blockStatus(at, offset + length - at, options)) {
        at += extent.length;
        const last = all.at(-1);
        if (last?.kind === extent.kind) all[all.length - 1] = { ...last, length: last.length + extent.length };
        else all.push(extent);
      }
    }
    return all;
  }

  /** Says goodbye and closes. What is in flight fails with `NBD_CLOSED`: await it first. May be called twice. */
  async close(): Promise<void> {
    await this.#pipeline.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fua(options: NbdWriteOptions): number {
    if (!options.fua) return 0;
    if ((this.#granted.flags & wire.FLAG_SEND_FUA) === 0) throw unsupported("FUA");
    return wire.CMD_FLAG_FUA;
  }

  async #range(command: number, offset: number, length: number, flags: number, signal?: AbortSignal): Promise<void> {
    await this.#split(length, offset, MAX_RANGE_BYTES, (at, bytes) =>
      this.#pipeline.send({ command, offset: offset + at, length: bytes, flags, signal }),
    );
  }

  async #split(
    length: number,
    offset: number,
    most: number,
    send: (at: number, length: number) => Promise<unknown>,
  ): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0 || !(length >= 0) || offset + length > this.sizeBytes) {
      const text = `the range of ${length} bytes at ${offset} is not within the export's ${this.sizeBytes} bytes`;
      throw new NbdError("NBD_INVALID_ARGUMENT", text);
    }
    if (length <= most) {
      if (length > 0) await send(0, length);
      return;
    }
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < length; at += most) parts.push(send(at, Math.min(most, length - at)));
    await Promise.all(parts);
  }
}

function kindOf(state: number): BlockExtent["kind"] {
  // A hole that does not read as zeroes may hold anything.
  if ((state & wire.STATE_ZERO) === 0) return "data";
  return (state & wire.STATE_HOLE) === 0 ? "zero" : "hole";
}

function unsupported(what: string): NbdError {
  return new NbdError("NBD_UNSUPPORTED", `the server does not offer ${what} for this export`);
}
