import {
  clearEntry,
  compressedRange,
  entryIsCompressed,
  entryIsCopied,
  entryOffset,
  writeCompressedEntry,
  writeEntry,
} from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Geometry } from "./geometry.ts";
import { L2Reader, type Run, type SubclusterState } from "./l2-reader.ts";
import type { MappingJournal } from "./mapping-journal.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { ALL_SUBCLUSTERS, writeSubclusterBits } from "./subcluster.ts";
import { type PendingWrite, type Table, TableCache } from "./table-cache.ts";

/** An L2 table and the position in it of a guest offset. */
export interface L2Slot {
  readonly table: Table;
  readonly at: number;
}

export interface MappingOptions {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly version: 2 | 3;
  readonly l1: Buffer;
  readonly l1Offset: number;
  /** Whether guest data lies in an external file, each cluster at its guest offset. */
  readonly externalData: boolean;
  readonly cacheBytes: number;
  /** Makes dirty tables clean, which needs a whole barrier: L2 tables may only follow what they point to. */
  readonly barrier: () => void;
  readonly allocateTable: () => number;
  readonly freeTable: (offset: number) => void;
  /** Hears of every entry that changes. */
  readonly journal?: MappingJournal | undefined;
}

/** Guest offsets to host offsets: the L1 table in memory, L2 tables in a bounded cache, both write-back. */
export class Mapping {
  readonly #options: MappingOptions;
  readonly #geometry: Geometry;
  readonly #cache: TableCache;
  readonly #reader: L2Reader;
  readonly #dirtyL1 = new Set<number>();
  /** Guest offsets at which the tables that are written begin, by the tables' own; for the journal. */
  readonly #guestStarts = new Map<number, number>();
  #l1: Buffer;
  #l1Offset: number;

  constructor(options: MappingOptions) {
    this.#options = options;
    this.#geometry = options.geometry;
    this.#l1 = options.l1;
    this.#l1Offset = options.l1Offset;
    this.#reader = new L2Reader(options);
    this.#cache = new TableCache({
      file: options.file,
      tableBytes: options.geometry.clusterSize,
      capacityBytes: options.cacheBytes,
      clean: options.barrier,
    });
  }

  get l1Entries(): number {
    return this.#l1.length / 8;
  }

  get hasChanges(): boolean {
    return this.#dirtyL1.size > 0 || this.#cache.hasDirty;
  }

  get l1Offset(): number {
    return this.#l1Offset;
  }

  /** The L1 table as it is in memory; the caller must not change it. */
  get l1Bytes(): Buffer {
    return this.#l1;
  }

  /** Where the table for `offset` lies in the file, if there is one that is not in memory here. */
  absentTable(offset: number): number | undefined {
    const tableOffset = this.#tableOffset(Math.floor(offset / this.#geometry.l2Coverage) * 8);
    return tableOffset === 0 || this.#cache.has(tableOffset) ? undefined : tableOffset;
  }

  /** What maps the bytes from `offset` on: a run of at least one and at most `length` bytes. */
  lookup(offset: number, length: number): Run {
    const { l2Coverage } = this.#geometry;
    const slot = this.#find(offset);
    const covered = Math.min(length, l2Coverage - (offset % l2Coverage));
    if (slot === undefined) {
      return { kind: "unallocated", length: covered, hostOffset: 0, hostLength: 0, inPlace: false };
    }
    return this.#reader.run(slot.table.data, slot.at, offset, covered);
  }

  /** The L2 table for `offset`, writable: created when missing, copied when a snapshot shares it. */
  slotForWrite(offset: number): L2Slot {
    const { clusterSize, l2Coverage } = this.#geometry;
    const l1At = Math.floor(offset / l2Coverage) * 8;
    const { l2Entries, l2EntryBytes } = this.#geometry;
    const at = (Math.floor(offset / clusterSize) % l2Entries) * l2EntryBytes;
    const tableOffset = this.#tableOffset(l1At);
    if (tableOffset !== 0 && entryIsCopied(this.#l1, l1At)) {
      this.#noteStart(tableOffset, l1At);
      return { table: this.#cache.load(tableOffset), at };
    }
    const shared = tableOffset === 0 ? undefined : Buffer.from(this.#cache.load(tableOffset).data);
    const newOffset = this.#options.allocateTable();
    const table = this.#cache.create(newOffset, shared);
    this.#noteStart(newOffset, l1At);
    writeEntry(this.#l1, l1At, newOffset);
    this.#dirtyL1.add(l1At);
    if (tableOffset !== 0) this.#options.freeTable(tableOffset);
    return { table, at };
  }

  /** What the entry at a slot references now, to be freed when it is replaced: `undefined` when nothing. */
  referencedBy(slot: L2Slot): { readonly offset: number; readonly bytes: number } | undefined {
    const { data } = slot.table;
    if (this.#options.externalData) return undefined;
    if (entryIsCompressed(data, slot.at)) {
      const range = compressedRange(data, slot.at, this.#geometry.clusterBits);
      return range === undefined ? undefined : { offset: range.offset, bytes: range.length };
    }
    const offset = entryOffset(data, slot.at);
    return offset === undefined || offset === 0 ? undefined : { offset, bytes: this.#geometry.clusterSize };
  }

  setData(slot: L2Slot, hostOffset: number): void {
    writeEntry(slot.table.data, slot.at, hostOffset);
    if (this.#geometry.extendedL2) writeSubclusterBits(slot.table.data, slot.at, ALL_SUBCLUSTERS, 0);
    this.#changed(slot);
  }

  setCompressed(slot: L2Slot, offset: number, length: number): void {
    const { extendedL2, clusterBits } = this.#geometry;
    writeCompressedEntry(slot.table.data, slot.at, { offset, length, clusterBits });
    if (extendedL2) writeSubclusterBits(slot.table.data, slot.at, 0, 0);
    this.#changed(slot);
  }

  /** The state of an extended entry. Errors: `CORRUPT`. */
  subclusters(slot: L2Slot, guestOffset: number): SubclusterState {
    return this.#reader.subclusters(slot.table.data, slot.at, guestOffset);
  }

  /** Replaces an extended entry: a host cluster that this table alone references, or none. */
  setSubclusters(slot: L2Slot, hostOffset: number | undefined, allocated: number, zero: number): void {
    const { data } = slot.table;
    if (hostOffset === undefined) clearEntry(data, slot.at, false);
    else writeEntry(data, slot.at, hostOffset);
    this.setSubclusterBits(slot, allocated, zero);
  }

  /** Replaces the bitmaps of an extended entry and leaves its host cluster. */
  setSubclusterBits(slot: L2Slot, allocated: number, zero: number): void {
    writeSubclusterBits(slot.table.data, slot.at, allocated, zero);
    this.#changed(slot);
  }

  setEmpty(slot: L2Slot, zero: boolean): void {
    const { extendedL2 } = this.#geometry;
    clearEntry(slot.table.data, slot.at, zero && !extendedL2);
    if (extendedL2) writeSubclusterBits(slot.table.data, slot.at, 0, zero ? ALL_SUBCLUSTERS : 0);
    this.#changed(slot);
  }

  /** Puts an entry back as a journal has it. */
  restore(slot: L2Slot, entry: Buffer): void {
    entry.copy(slot.table.data, slot.at);
    slot.table.markDirty(slot.at);
  }

  /** Replaces the L1 table after it moved. */
  replaceL1(l1: Buffer, offset: number): void {
    this.#l1 = l1;
    this.#l1Offset = offset;
    this.#dirtyL1.clear();
  }

  /** Forgets every L2 table; only when none is dirty and the file was changed underneath. */
  dropCache(): void {
    this.#cache.clear();
  }

  /** Copies of the changed L2 slices. Their tables stay in memory until `unpin`. */
  takeL2Writes(): { readonly writes: PendingWrite[]; readonly tables: Table[] } {
    const tables = this.#cache.dirtyTables();
    const writes: PendingWrite[] = [];
    for (const table of tables) {
      for (const run of table.dirtyRuns()) writes.push({ position: run.position, data: Buffer.from(run.data) });
      table.markClean();
      table.pins++;
    }
    return { writes, tables };
  }

  takeL1Writes(): PendingWrite[] {
    const writes = [...this.#dirtyL1].map((at) => ({
      position: this.#l1Offset + at,
      data: Buffer.from(this.#l1.subarray(at, at + 8)),
    }));
    this.#dirtyL1.clear();
    return writes;
  }

  #noteStart(tableOffset: number, l1At: number): void {
    if (this.#options.journal) this.#guestStarts.set(tableOffset, (l1At / 8) * this.#geometry.l2Coverage);
  }

  #changed(slot: L2Slot): void {
    slot.table.markDirty(slot.at);
    const { journal } = this.#options;
    if (journal === undefined) return;
    const { l2EntryBytes, clusterSize } = this.#geometry;
    const start = this.#guestStarts.get(slot.table.offset) ?? 0;
    journal.note(start + (slot.at / l2EntryBytes) * clusterSize, slot.table.data, slot.at);
  }

  #find(offset: number): L2Slot | undefined {
    const { clusterSize, l2Coverage, l2Entries, l2EntryBytes } = this.#geometry;
    const tableOffset = this.#tableOffset(Math.floor(offset / l2Coverage) * 8);
    if (tableOffset === 0) return undefined;
    return { table: this.#cache.load(tableOffset), at: (Math.floor(offset / clusterSize) % l2Entries) * l2EntryBytes };
  }

  #tableOffset(l1At: number): number {
    const offset = entryOffset(this.#l1, l1At);
    if (offset === undefined || offset % this.#geometry.clusterSize !== 0) {
      throw new Qcow2Error("CORRUPT", `'${this.#options.file.path}': L1 entry ${l1At / 8} is not valid`);
    }
    return offset;
  }
}
