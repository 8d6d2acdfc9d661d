import { Allocator, FileLength } from "./allocator.ts";
import { Barrier } from "./barrier.ts";
import type { BlockSource } from "./block-source.ts";
import { type DataFile, syncedTogether } from "./data-file.ts";
import { entryOffset } from "./entry.ts";
import { DirtyBitmaps } from "./dirty-bitmaps.ts";
import type { HeaderFeature } from "./features.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Geometry } from "./geometry.ts";
import { type Header, readHeader, readTable } from "./header.ts";
import { CORRUPT_BIT, writeIncompatibleBits } from "./header-word.ts";
import { clearDirty, hasLazyRefcounts, setDirty } from "./lazy-refcounts.ts";
import type { LuksCipher } from "./luks-cipher.ts";
import { Mapping } from "./mapping.ts";
import type { MappingJournal } from "./mapping-journal.ts";
import { MetadataGuard } from "./metadata-guard.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { RefcountTable } from "./refcount-table.ts";
import { snapshotTableBytes } from "./snapshot-table.ts";

/** The parts of an open image that its operations work on. Not public. */
export interface ImageCore {
  readonly file: ImageFile;
  /** Where the guest's data lies: `file`, unless the image has an external data file. */
  readonly data: ImageFile;
  /** Encrypts the guest's data, and nothing else, where the image is encrypted. */
  readonly cipher: LuksCipher | undefined;
  header: Header;
  readonly geometry: Geometry;
  readonly version: 2 | 3;
  mapping: Mapping;
  length: FileLength;
  /** Present on an image that was opened for writing. */
  writer: ImageWriter | undefined;
  /** Persistent dirty bitmaps: those of the file, and what was written since. */
  readonly bitmaps: DirtyBitmaps;
  /** How it was loaded. */
  readonly options: ImageCoreOptions;
  virtualSizeBytes: number;
  backing: BlockSource | undefined;
  /** The last decompressed cluster: sequential reads of compressed images come in pieces. */
  decompressed: { readonly hostOffset: number; readonly data: Buffer } | undefined;
}

export interface ImageWriter {
  readonly guard: MetadataGuard;
  readonly refcounts: RefcountTable;
  readonly allocator: Allocator;
  readonly barrier: Barrier;
  /** Whether the header's autoclear bits were cleared, which is due before the first change. */
  prepared: boolean;
}

export interface ImageCoreOptions {
  readonly file: ImageFile;
  readonly dataFile: DataFile | undefined;
  readonly header: Header;
  readonly write: boolean;
  readonly backing: BlockSource | undefined;
  readonly cipher?: LuksCipher | undefined;
  /** For L2 tables and refcount blocks each. */
  readonly cacheBytes: number;
  /** Keeps what the tables in the file do not have yet. */
  readonly journal?: MappingJournal | undefined;
}

/** Loads the tables of an image. Errors: `CORRUPT` when, opened for writing, its metadata overlaps itself. */
export function loadImageCore(options: ImageCoreOptions): ImageCore {
  const { file, dataFile, header, write, cacheBytes } = options;
  const { geometry } = header;
  const { clusterSize } = geometry;
  const l1 = readTable(file, header.l1Offset, header.l1Entries * 8);
  const length = new FileLength(file, clusterSize);
  let writer: ImageWriter | undefined;
  const needWriter = (): ImageWriter => {
    if (!writer) throw new Qcow2Error("READ_ONLY", `'${file.path}' was opened read-only`);
    return writer;
  };
  const mapping = new Mapping({
    file,
    geometry,
    version: header.version,
    l1,
    l1Offset: header.l1Offset,
    externalData: dataFile !== undefined,
    cacheBytes,
    barrier: () => needWriter().barrier.flushSync(),
    journal: options.journal,
    allocateTable: () => {
      const { offset } = needWriter().allocator.allocate(1);
      needWriter().guard.claim(offset, clusterSize, "L2 table");
      return offset;
    },
    freeTable: (offset) => {
      needWriter().guard.release(offset, clusterSize);
      needWriter().allocator.deferFree(offset, clusterSize);
    },
  });
  if (write) {
    const guard = new MetadataGuard(file.path, clusterSize);
    guard.claim(0, clusterSize, "header");
    guard.claim(header.l1Offset, l1.length, "L1 table");
    const keys = header.encryptionHeader;
    if (keys) guard.claim(keys.offset, keys.length, "encryption header");
    const table = readTable(file, header.refcountTableOffset, header.refcountTableClusters * clusterSize);
    guard.claim(header.refcountTableOffset, table.length, "refcount table");
    if (header.snapshotCount > 0) {
      guard.claim(header.snapshotsOffset, snapshotTableBytes(file, header), "snapshot table");
    }
    for (let at = 0; at < l1.length; at += 8) {
      const offset = entryOffset(l1, at) ?? 0;
      if (offset !== 0) guard.claim(offset, clusterSize, "L2 table");
    }
    const refcounts = new RefcountTable({
      file,
      geometry,
      guard,
      table,
      tableOffset: header.refcountTableOffset,
      cacheBytes,
      ensureFileSize: (bytes) => length.ensure(bytes),
      settle: () => needWriter().barrier.settleSync(),
    });
    const allocator = new Allocator(refcounts, geometry, length);
    const synced = dataFile ? syncedTogether(file, dataFile) : file;
    const barrier = new Barrier({
      file: synced,
      refcounts,
      mapping,
      allocator,
      lazyCounts: hasLazyRefcounts(header),
      journal: options.journal,
    });
    writer = { guard, refcounts, allocator, barrier, prepared: false };
  }
  return {
    file,
    data: dataFile ?? file,
    cipher: options.cipher,
    header,
    geometry,
    version: header.version,
    mapping,
    length,
    writer,
    bitmaps: new DirtyBitmaps(file, header),
    options,
    virtualSizeBytes: header.virtualSizeBytes,
    backing: options.backing,
    decompressed: undefined,
  };
}

/**
 * Reads everything from the file again, after its tables were changed underneath. Nothing may be waiting to be written.
 * What the bitmaps have recorded stays.
 */
export function reloadImageCore(core: ImageCore): void {
  const { file } = core;
  const fresh = loadImageCore({ ...core.options, header: readHeader(file) });
  core.header = fresh.header;
  core.mapping = fresh.mapping;
  core.length = fresh.length;
  core.writer = fresh.writer;
  core.virtualSizeBytes = fresh.virtualSizeBytes;
  core.decompressed = undefined;
}

/**
 * The writer, made ready: autoclear bits mean "kept up to date by whoever writes", so those of which this engine does not do that go, durably,
 * before the first change.
 * Errors: `READ_ONLY`, `FAILED`.
 */
export function prepareWriter(core: ImageCore): ImageWriter {
  const { writer } = core;
  if (!writer) throw new Qcow2Error("READ_ONLY", `'${core.file.path}' was opened read-only`);
  writer.barrier.assertUsable();
  if (!writer.prepared) {
    const kept = (feature: HeaderFeature): boolean => feature.kind !== "autoclear" || isKeptUp(core, feature.bit);
    if (!core.header.features.every(kept)) {
      const features = core.header.features.filter(kept);
      const word = Buffer.alloc(8);
      for (const { kind, bit } of features)
        if (kind === "autoclear") word.writeUInt8(word.readUInt8(7) | (1 << bit), 7);
      core.file.writeSync(word, 88);
      core.file.syncSync();
      core.header = { ...core.header, features };
    }
    if (hasLazyRefcounts(core.header)) setDirty(core, writer);
    core.bitmaps.begin(writer);
    writer.prepared = true;
  }
  return writer;
}

/** Due before each change of the disk's content: makes the writer ready and has the bitmaps record it. */
export function recordChange(core: ImageCore, offset: number, length: number): void {
  prepareWriter(core);
  core.bitmaps.mark(offset, length);
}

/** Brings everything into the file, bitmaps and lazy refcounts too, and cuts off its unused tail. */
export function finishWriting(core: ImageCore): void {
  const { writer } = core;
  if (!writer) return;
  core.bitmaps.store(core, writer);
  writer.barrier.flushAllSync();
  // Only counts that are durable say what the tail is.
  writer.allocator.trimTail();
  clearDirty(core, writer);
}

/** Whether this engine keeps what an autoclear bit promises: right bitmaps, or that an external data file stays a raw disk by itself. */
function isKeptUp(core: ImageCore, bit: number): boolean {
  return bit === 0 ? core.bitmaps.isUsable : bit === 1 && core.data !== core.file;
}

/** Sets the header's corrupt bit and refuses all further writing. */
export function markCorrupt(core: ImageCore, error: Qcow2Error): Qcow2Error {
  const { writer } = core;
  if (writer) {
    writer.barrier.fail(error);
    try {
      core.header = writeIncompatibleBits(core.file, core.header, { set: [CORRUPT_BIT] });
      core.file.syncSync();
    } catch {
      // The image already refuses to be written; the bit is for the next opener.
    }
  }
  return error;
}
