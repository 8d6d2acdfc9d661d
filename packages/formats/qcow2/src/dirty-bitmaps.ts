import {
  type BitmapEntry,
  encodeBitmapEntry,
  encodeBitmapExtension,
  MAX_BITMAPS,
  readBitmapDirectory,
  readBitmapTable,
  withInUse,
} from "./bitmap-directory.ts";
import { writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { EXTENSION_BITMAPS, type Header, hasFeature, readHeader } from "./header.ts";
import { writeHeaderExtensions } from "./header-extensions.ts";
import type { ImageCore, ImageWriter } from "./image-core.ts";
import { checkNewBitmap, type CreateBitmapOptions } from "./new-bitmap.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { TrackedBitmap } from "./tracked-bitmap.ts";

/** What is known of a persistent dirty bitmap. */
export interface BitmapInfo {
  readonly name: string;
  readonly granularityBytes: number;
  /** Whether writing is recorded in it. */
  readonly enabled: boolean;
  /**
   * Whether a writer went away without storing it, or it is of a kind that this engine does not know. Its bits mean nothing then: it can be
   * deleted and nothing else.
   */
  readonly inconsistent: boolean;
}

/**
 * The persistent dirty bitmaps of an image. While the image is written they are marked "in use" in the file, and kept in memory; closing
 * stores them. So a crash costs the bitmaps that recorded, and never leaves one that misses a write.
 */
export class DirtyBitmaps {
  readonly #file: ImageFile;
  /** Those that can be used, in the order of the file. */
  readonly #tracked: TrackedBitmap[] = [];
  /** Those that are only kept. */
  readonly #kept: BitmapEntry[] = [];
  /** Why the directory cannot be read, if so: the first write then gives all bitmaps up, as the format has it. */
  readonly #damage: Qcow2Error | undefined;
  #directory: { readonly offset: number; readonly bytes: number } | undefined;
  #begun = false;
  /** Host clusters that a bitmap no longer needs, once the directory without them is stored. */
  #unused: { readonly offset: number; readonly bytes: number }[] = [];

  constructor(file: ImageFile, header: Header) {
    this.#file = file;
    try {
      const directory = readBitmapDirectory(file, header);
      if (directory === undefined) return;
      const names = new Set(directory.entries.map((entry) => entry.name));
      if (names.size !== directory.entries.length) {
        throw new Qcow2Error("CORRUPT", `'${file.path}': two bitmaps have the same name`);
      }
      for (const entry of directory.entries) {
        if (entry.inUse || entry.unusable !== undefined) this.#kept.push(entry);
        else this.#tracked.push(new TrackedBitmap(file, header, { ...entry, entry }));
      }
      this.#directory = directory;
    } catch (error) {
      if (!(error instanceof Qcow2Error)) throw error;
      this.#tracked.length = 0;
      this.#kept.length = 0;
      this.#damage = error;
    }
  }

  /** Whether the autoclear bit may stay: the bitmaps are, and will be, what it promises. */
  get isUsable(): boolean {
    return this.#directory !== undefined;
  }

  list(): readonly BitmapInfo[] {
    if (this.#damage) throw this.#damage;
    return [
      ...this.#tracked.map(({ name, granularityBytes, enabled }) => {
        return { name, granularityBytes, enabled, inconsistent: false };
      }),
      ...this.#kept.map(({ name, granularityBits, enabled }) => {
        return { name, granularityBytes: 2 ** granularityBits, enabled, inconsistent: true };
      }),
    ];
  }

  /** A bitmap whose bits can be relied on. Errors: `NOT_FOUND`, `BITMAP_INCONSISTENT`. */
  get(name: string): TrackedBitmap {
    const bitmap = this.#tracked.find((candidate) => candidate.name === name);
    if (bitmap) return bitmap;
    if (this.#kept.some((entry) => entry.name === name)) {
      throw new Qcow2Error(
        "BITMAP_INCONSISTENT",
        `bitmap '${name}' of '${this.#file.path}' was not stored by its last writer`,
      );
    }
    throw new Qcow2Error("NOT_FOUND", `'${this.#file.path}' has no bitmap '${name}'`);
  }

  /** Due before the first change: marks what will record it "in use", durably. With `all`, also what is disabled. */
  begin(writer: ImageWriter, options: { readonly all?: boolean } = {}): void {
    const chosen = this.#tracked.filter(
      (bitmap) => (bitmap.enabled || options.all) && bitmap.entry !== undefined && !bitmap.entry.inUse,
    );
    if (this.#directory === undefined || chosen.length === 0) return;
    const directory = Buffer.alloc(this.#directory.bytes);
    this.#file.readSync(directory, this.#directory.offset);
    for (const bitmap of chosen) {
      const { entry } = bitmap;
      if (entry === undefined) continue;
      const at = directory.indexOf(entry.bytes);
      if (at < 0) throw new Qcow2Error("CORRUPT", `'${this.#file.path}': the bitmap directory changed underneath`);
      const bytes = withInUse(entry);
      bytes.copy(directory, at);
      bitmap.entry = { ...entry, inUse: true, bytes };
    }
    this.#file.writeSync(directory, this.#directory.offset);
    writer.barrier.syncSync();
    this.#begun = true;
  }

  /** Records a change of the disk. */
  mark(offset: number, length: number): void {
    for (const bitmap of this.#tracked) if (bitmap.enabled) bitmap.mark(offset, length);
  }

  create(header: Header, name: string, options: CreateBitmapOptions): void {
    const { enabled = true } = options;
    const granularityBits = checkNewBitmap(this.#file.path, header, name, options);
    if (this.#tracked.length + this.#kept.length >= MAX_BITMAPS) {
      throw new Qcow2Error(
        "TOO_LARGE",
        `'${this.#file.path}' has ${MAX_BITMAPS} bitmaps, which is all that it can have`,
      );
    }
    if ([...this.#tracked, ...this.#kept].some((bitmap) => bitmap.name === name)) {
      throw new Qcow2Error("ALREADY_EXISTS", `'${this.#file.path}' has a bitmap '${name}'`);
    }
    this.#tracked.push(new TrackedBitmap(this.#file, header, { name, granularityBits, enabled }));
  }

  delete(header: Header, name: string): void {
    const index = this.#tracked.findIndex((bitmap) => bitmap.name === name);
    const bitmap = this.#tracked[index];
    if (bitmap) {
      this.#tracked.splice(index, 1);
      this.#giveUp(header, bitmap.entry, bitmap.table);
      return;
    }
    const kept = this.#kept.findIndex((entry) => entry.name === name);
    const entry = this.#kept[kept];
    if (entry === undefined) throw new Qcow2Error("NOT_FOUND", `'${this.#file.path}' has no bitmap '${name}'`);
    this.#kept.splice(kept, 1);
    this.#giveUp(header, entry, readBitmapTable(this.#file, header, entry));
  }

  #giveUp(header: Header, entry: BitmapEntry | undefined, table: Float64Array): void {
    if (entry) this.#unused.push({ offset: entry.tableOffset, bytes: entry.tableEntries * 8 });
    for (const offset of table) if (offset > 1) this.#unused.push({ offset, bytes: header.geometry.clusterSize });
  }

  /** Fits all bitmaps to another size of the disk. `begin` with `all` came before. */
  resize(header: Header, diskBytes: number): void {
    const { clusterSize } = header.geometry;
    for (const bitmap of this.#tracked) {
      for (const offset of bitmap.resize(diskBytes)) this.#unused.push({ offset, bytes: clusterSize });
    }
  }

  /** Stores what is in memory and makes the bitmaps usable by others; the next change marks them "in use" again. */
  store(core: ImageCore, writer: ImageWriter, options: { readonly changed?: boolean } = {}): void {
    if (!this.#begun && !options.changed) return;
    const { file } = core;
    const { clusterSize } = core.geometry;
    const entries: Buffer[] = this.#kept.map((entry) => entry.bytes);
    const stored: { readonly bitmap: TrackedBitmap; readonly table: Float64Array; readonly bytes: Buffer }[] = [];
    const freed = [...this.#unused];
    for (const bitmap of this.#tracked) {
      const table = this.#storeBits(core, writer, bitmap, freed);
      const bytes = Buffer.alloc(Math.ceil((table.length * 8) / clusterSize) * clusterSize);
      for (const [index, offset] of table.entries()) writeUint64(bytes, offset, index * 8);
      const tableOffset = writer.allocator.allocateContiguous(bytes.length / clusterSize);
      file.writeSync(bytes, tableOffset);
      if (bitmap.entry) freed.push({ offset: bitmap.entry.tableOffset, bytes: bitmap.entry.tableEntries * 8 });
      const entry = encodeBitmapEntry({
        name: bitmap.name,
        tableOffset,
        tableEntries: table.length,
        inUse: false,
        enabled: bitmap.enabled,
        granularityBits: bitmap.granularityBits,
      });
      entries.push(entry);
      stored.push({ bitmap, table, bytes: entry });
    }
    const directory = Buffer.concat(entries);
    let offset = 0;
    if (directory.length > 0) {
      const clusters = Math.ceil(directory.length / clusterSize);
      offset = writer.allocator.allocateContiguous(clusters);
      file.writeSync(Buffer.concat([directory, Buffer.alloc(clusters * clusterSize - directory.length)]), offset);
    }
    writer.barrier.noteDataWritten();
    writer.barrier.flushAllSync();
    this.#publish(core, writer, { offset, bytes: directory.length, count: entries.length });
    if (this.#directory) freed.push(this.#directory);
    this.#directory = directory.length > 0 ? { offset, bytes: directory.length } : undefined;
    const reread = readBitmapDirectory(file, core.header);
    for (const { bitmap, table, bytes } of stored) {
      bitmap.table = table;
      bitmap.chunks.clear();
      bitmap.entry = reread?.entries.find((entry) => entry.bytes.equals(bytes));
    }
    this.#unused = [];
    this.#begun = false;
    // The next change marks again what records it.
    writer.prepared = false;
    for (const { offset: at, bytes } of freed) if (this.#mayFree(writer, at)) writer.allocator.deferFree(at, bytes);
  }

  /** Writes the clusters of bits that changed. Those that were marked "in use" durably may be written over. */
  #storeBits(
    core: ImageCore,
    writer: ImageWriter,
    bitmap: TrackedBitmap,
    freed: { offset: number; bytes: number }[],
  ): Float64Array {
    const { clusterSize } = core.geometry;
    const table = Float64Array.from(bitmap.table);
    for (const chunk of bitmap.chunks.keys()) {
      const content = bitmap.contentOf(chunk);
      const old = bitmap.table[chunk] ?? 0;
      if (content === "unchanged") continue;
      if (typeof content === "string") {
        table[chunk] = content === "dirty" ? 1 : 0;
        if (old > 1) freed.push({ offset: old, bytes: clusterSize });
        continue;
      }
      const inPlace = old > 1 && bitmap.entry?.inUse === true && this.#mayFree(writer, old);
      const offset = inPlace ? old : writer.allocator.allocate(1).offset;
      if (old > 1 && !inPlace) freed.push({ offset: old, bytes: clusterSize });
      core.file.writeSync(content, offset);
      table[chunk] = offset;
    }
    return table;
  }

  /** Whether a cluster is this bitmap's alone: a damaged or hostile table may name any. */
  #mayFree(writer: ImageWriter, offset: number): boolean {
    return writer.guard.ownerOf(offset) === undefined && writer.refcounts.get(offset / writer.guard.clusterSize) === 1;
  }

  #publish(core: ImageCore, writer: ImageWriter, directory: { offset: number; bytes: number; count: number }): void {
    const { file } = core;
    const others = core.header.extensions.filter((extension) => extension.type !== EXTENSION_BITMAPS);
    const extension = { type: EXTENSION_BITMAPS, data: encodeBitmapExtension(directory) };
    writeHeaderExtensions(file, core.header, directory.count > 0 ? [...others, extension] : others, {
      sync: () => writer.barrier.syncSync(),
      patch: (fixed) => {
        // Of the autoclear bits, only those stay that were kept.
        const kept = hasFeature(core.header, "autoclear", 1) ? 2 : 0;
        fixed.fill(0, 88, 96);
        fixed.writeUInt8(kept | (directory.count > 0 ? 1 : 0), 95);
      },
    });
    core.header = readHeader(file);
  }
}
