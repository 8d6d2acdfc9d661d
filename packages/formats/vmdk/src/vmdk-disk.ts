import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { type Descriptor, parseDescriptor } from "./descriptor.ts";
import type { DiskExtent, DiskSource } from "./disk-source.ts";
import { DIRECTORY_AT_END, directoryEntries, parseSparseHeader, SECTOR, type SparseHeader } from "./sparse-header.ts";
import { toVmdkError, VmdkError } from "./vmdk-error.ts";

/** The longest descriptor that is read, in bytes. */
const MAX_DESCRIPTOR = 1024 * 1024;
/** Grain tables that are kept in memory: 2 KiB each. */
const CACHED_TABLES = 256;
const MARKER_END_OF_STREAM = 0;
const MARKER_FOOTER = 3;

/**
 * A VMDK with one extent in its own file, `streamOptimized` or `monolithicSparse`, for reading. Other files that a descriptor names are never opened.
 * Memory stays bounded whatever the file says: the grain directory (at most 32 MiB), 256 grain tables, one grain.
 */
export class VmdkDisk implements DiskSource {
  readonly path: string;
  readonly sizeBytes: number;
  readonly descriptor: Descriptor;
  readonly #fd: number;
  readonly #fileBytes: number;
  readonly #header: SparseHeader;
  readonly #directory: Uint32Array;
  readonly #tables = new Map<number, Uint32Array>();
  #grain: { readonly sector: number; readonly data: Buffer } | undefined;
  #closed = false;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#fileBytes = fstatSync(fd).size;
    const head = parseSparseHeader(this.#start(), path);
    this.#header = head.directoryOffset === DIRECTORY_AT_END ? this.#footer(head) : head;
    this.descriptor = this.#readDescriptor(head);
    this.sizeBytes = head.capacity * SECTOR;
    const entries = directoryEntries(head);
    const directory = this.#bytes(this.#header.directoryOffset * SECTOR, entries * 4, "its grain directory");
    this.#directory = new Uint32Array(entries);
    for (let index = 0; index < entries; index++) this.#directory[index] = directory.readUInt32LE(index * 4);
  }

  /**
   * Opens a VMDK. Errors: `NOT_FOUND`, `NOT_REGULAR_FILE`, `NOT_VMDK`, `HEADER_INVALID`, `UNSUPPORTED_VERSION`, `UNSUPPORTED_FEATURE`, `EXTENT_REFUSED`,
   * `TOO_LARGE`, `CORRUPT`.
   */
  static async open(path: string): Promise<VmdkDisk> {
    let fd: number;
    try {
      // Opening a FIFO must not hang, and a link must not lead elsewhere.
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      throw toVmdkError(error, `cannot open '${path}'`);
    }
    try {
      if (!fstatSync(fd).isFile()) throw new VmdkError("NOT_REGULAR_FILE", `'${path}' is not a regular file`);
      return new VmdkDisk(path, fd);
    } catch (error) {
      closeSync(fd);
      throw toVmdkError(error, `cannot open '${path}'`);
    }
  }

  /** Fills the whole of `buffer`. Errors: `OUT_OF_RANGE`, `CORRUPT`, `CLOSED`. */
  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.readSync(buffer, offset);
  }

  /** As `read`, at once. */
  readSync(buffer: Uint8Array, offset: number): void {
    this.#assertInside(offset, buffer.length);
    const grainBytes = this.#grainBytes;
    for (let done = 0; done < buffer.length; ) {
      const at = offset + done;
      const within = at % grainBytes;
      const length = Math.min(grainBytes - within, buffer.length - done);
      const part = buffer.subarray(done, done + length);
      const sector = this.#sectorOf(Math.floor(at / grainBytes));
      if (sector <= 1) part.fill(0);
      else if (this.#header.compressed) part.set(this.#unpacked(sector, at - within).subarray(within, within + length));
      else this.#readInto(part, sector * SECTOR + within);
      done += length;
    }
  }

  /** The extents of the range in order, without gaps, neighbours merged. */
  map(offset: number, length: number): DiskExtent[] {
    this.#assertInside(offset, length);
    const extents: { offset: number; length: number; kind: DiskExtent["kind"]; depth: number }[] = [];
    const grainBytes = this.#grainBytes;
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(offset + length, (Math.floor(at / grainBytes) + 1) * grainBytes);
      const sector = this.#sectorOf(Math.floor(at / grainBytes));
      const kind = sector === 0 ? "hole" : sector === 1 ? "zero" : "data";
      const last = extents.at(-1);
      if (last?.kind === kind) last.length += end - at;
      else extents.push({ offset: at, length: end - at, kind, depth: 0 });
      at = end;
    }
    return extents;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #grainBytes(): number {
    return this.#header.grainSize * SECTOR;
  }

  #assertInside(offset: number, length: number): void {
    if (this.#closed) throw new VmdkError("CLOSED", `'${this.path}' is closed`);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > this.sizeBytes) {
      throw new VmdkError("OUT_OF_RANGE", `range ${offset}+${length} leaves '${this.path}' of ${this.sizeBytes} bytes`);
    }
  }

  /** The first sector of what may be a VMDK. */
  #start(): Buffer {
    const start = this.#bytes(0, Math.min(SECTOR, this.#fileBytes), "its header");
    if (start.toString("latin1", 0, 21) === "# Disk DescriptorFile") {
      throw new VmdkError(
        "EXTENT_REFUSED",
        `'${this.path}' is a descriptor alone: the other files that it names are never opened`,
      );
    }
    return start;
  }

  /** A stream's header does not know where the grain directory will lie; the footer, a copy of it, does. */
  #footer(head: SparseHeader): SparseHeader {
    const end = this.#fileBytes - (this.#fileBytes % SECTOR);
    const tail = this.#bytes(end - 3 * SECTOR, 3 * SECTOR, "its footer");
    const isFooter = tail.readUInt32LE(8) === 0 && tail.readUInt32LE(12) === MARKER_FOOTER;
    const isEnd =
      tail.readUInt32LE(2 * SECTOR + 8) === 0 && tail.readUInt32LE(2 * SECTOR + 12) === MARKER_END_OF_STREAM;
    if (!isFooter || !isEnd) throw new VmdkError("CORRUPT", `'${this.path}' has no footer: was it cut short?`);
    const footer = parseSparseHeader(tail.subarray(SECTOR, 2 * SECTOR), this.path);
    const fields = ["capacity", "grainSize", "entriesPerTable", "compressed"] as const;
    if (footer.directoryOffset === DIRECTORY_AT_END || fields.some((field) => footer[field] !== head[field])) {
      throw new VmdkError("CORRUPT", `'${this.path}': footer and header contradict each other`);
    }
    return footer;
  }

  #readDescriptor(head: SparseHeader): Descriptor {
    const { descriptorOffset, descriptorSize } = head;
    if (descriptorOffset === 0) {
      throw new VmdkError(
        "UNSUPPORTED_FEATURE",
        `'${this.path}' has no descriptor of its own: it is an extent of another file`,
      );
    }
    if (descriptorSize * SECTOR > MAX_DESCRIPTOR) {
      throw new VmdkError("TOO_LARGE", `'${this.path}' has a descriptor of ${descriptorSize} sectors`);
    }
    const bytes = this.#bytes(descriptorOffset * SECTOR, descriptorSize * SECTOR, "its descriptor");
    const end = bytes.indexOf(0);
    if (end === 0) {
      throw new VmdkError(
        "UNSUPPORTED_FEATURE",
        `'${this.path}' has an empty descriptor: it is an extent of another file`,
      );
    }
    const descriptor = parseDescriptor(bytes.toString("utf8", 0, end < 0 ? bytes.length : end), this.path);
    const { createType, extents, parentContentId } = descriptor;
    if (createType !== "streamOptimized" && createType !== "monolithicSparse") {
      throw new VmdkError(
        "UNSUPPORTED_FEATURE",
        `'${this.path}' is of type '${createType}'; streamOptimized and monolithicSparse are read`,
      );
    }
    if (parentContentId !== "ffffffff") {
      throw new VmdkError("EXTENT_REFUSED", `'${this.path}' holds only its differences to another disk`);
    }
    if (extents.length !== 1 || extents[0]?.type !== "SPARSE") {
      throw new VmdkError(
        "EXTENT_REFUSED",
        `'${this.path}' names ${extents.length} extents: only one in the file itself is read`,
      );
    }
    return descriptor;
  }

  /** Where a grain's data or marker lies; 0 for a hole, 1 for zeroes. */
  #sectorOf(grain: number): number {
    const { entriesPerTable } = this.#header;
    const index = Math.floor(grain / entriesPerTable);
    const place = this.#directory[index] ?? 0;
    if (place === 0) return 0;
    let table = this.#tables.get(index);
    if (table === undefined) {
      const bytes = this.#bytes(place * SECTOR, entriesPerTable * 4, `grain table ${index}`);
      table = new Uint32Array(entriesPerTable);
      for (let entry = 0; entry < entriesPerTable; entry++) table[entry] = bytes.readUInt32LE(entry * 4);
    } else {
      this.#tables.delete(index);
    }
    this.#tables.set(index, table);
    if (this.#tables.size > CACHED_TABLES) this.#tables.delete(this.#tables.keys().next().value as number);
    return table[grain % entriesPerTable] ?? 0;
  }

  #unpacked(sector: number, offset: number): Buffer {
    if (this.#grain?.sector === sector) return this.#grain.data;
    const grainBytes = this.#grainBytes;
    const corrupt = (why: string, cause?: unknown): VmdkError =>
      new VmdkError("CORRUPT", `'${this.path}': the grain at sector ${sector} ${why}`, { cause });
    let at = sector * SECTOR;
    let length = 0;
    if (this.#header.markers) {
      const head = this.#bytes(at, 12, "a grain marker");
      if (head.readBigUInt64LE(0) !== BigInt(offset / SECTOR)) throw corrupt("belongs elsewhere");
      length = head.readUInt32LE(8);
      at += 12;
    } else {
      length = this.#bytes(at, 4, "a grain's length").readUInt32LE(0);
      at += 4;
    }
    // Data that deflate can't make smaller grows by less than this.
    if (length === 0 || length > grainBytes + 4096) throw corrupt(`has ${length} compressed bytes`);
    const packed = this.#bytes(at, length, "a grain");
    let data: Buffer;
    try {
      data = inflateSync(packed, { maxOutputLength: grainBytes });
    } catch (error) {
      throw corrupt("can't be decompressed into one grain", error);
    }
    // The last grain of a disk may be a short one.
    if (data.length < Math.min(grainBytes, this.sizeBytes - offset)) throw corrupt(`has ${data.length} bytes`);
    this.#grain = { sector, data };
    return data;
  }

  #bytes(position: number, length: number, what: string): Buffer {
    if (position < 0 || position + length > this.#fileBytes) {
      throw new VmdkError("CORRUPT", `'${this.path}': ${what} lies outside the file`);
    }
    const bytes = Buffer.alloc(length);
    this.#readInto(bytes, position);
    return bytes;
  }

  #readInto(buffer: Uint8Array, position: number): void {
    if (position + buffer.length > this.#fileBytes) {
      throw new VmdkError("CORRUPT", `'${this.path}': bytes ${position}+${buffer.length} lie outside the file`);
    }
    for (let done = 0; done < buffer.length; ) {
      let count: number;
      try {
        count = readSync(this.#fd, buffer, done, buffer.length - done, position + done);
      } catch (error) {
        throw toVmdkError(error, `cannot read '${this.path}'`);
      }
      if (count === 0) throw new VmdkError("CORRUPT", `'${this.path}' became shorter while it was read`);
      done += count;
    }
  }
}
