import { entryOffset, writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { type Geometry, MAX_REFCOUNT_TABLE_BYTES, roundUp } from "./geometry.ts";
import type { MetadataGuard } from "./metadata-guard.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { countPosition, maximumCount, readCount, writeCount } from "./refcount-entry.ts";
import { type PendingWrite, type Table, TableCache } from "./table-cache.ts";

export interface RefcountTableOptions {
  readonly file: ImageFile;
  readonly geometry: Geometry;
  readonly guard: MetadataGuard;
  readonly table: Buffer;
  readonly tableOffset: number;
  readonly cacheBytes: number;
  /** Makes the file at least this long. */
  readonly ensureFileSize: (bytes: number) => void;
  /** Completes a flush that is under way, so that none of its writes goes to a table that is about to move. */
  readonly settle: () => void;
}

/**
 * How often each host cluster is referenced, in counts of any legal width, write-back.
 *
 * Counts may reach the file at any time: an increase comes before the pointer that needs it, and a decrease is made here only once the
 * removal of its pointer is durable. A crash can so only leave a count too high.
 */
export class RefcountTable {
  readonly #options: RefcountTableOptions;
  readonly #geometry: Geometry;
  readonly #bits: number;
  /** The largest count that an entry can hold. */
  readonly maximum: number;
  readonly #cache: TableCache;
  readonly #dirtyEntries = new Set<number>();
  #table: Buffer;
  #tableOffset: number;

  constructor(options: RefcountTableOptions) {
    this.#options = options;
    this.#geometry = options.geometry;
    this.#bits = options.geometry.refcountBits;
    this.maximum = maximumCount(this.#bits);
    this.#table = options.table;
    this.#tableOffset = options.tableOffset;
    this.#cache = new TableCache({
      file: options.file,
      tableBytes: options.geometry.clusterSize,
      capacityBytes: options.cacheBytes,
      clean: () => this.writeDirtyBlocks(),
    });
    for (let at = 0; at < this.#table.length; at += 8) {
      const offset = this.#blockOffset(at / 8);
      if (offset !== 0) options.guard.claim(offset, this.#geometry.clusterSize, "refcount block");
    }
  }

  /** Clusters that the present table can count. */
  get clusterCapacity(): number {
    return (this.#table.length / 8) * this.#geometry.blockEntries;
  }

  get hasChanges(): boolean {
    return this.#dirtyEntries.size > 0 || this.#cache.hasDirty;
  }

  get(cluster: number): number {
    const block = this.#block(cluster);
    if (block === undefined) return 0;
    const count = readCount(block.data, cluster % this.#geometry.blockEntries, this.#bits);
    if (count > this.maximum) {
      throw new Qcow2Error(
        "CORRUPT",
        `'${this.#options.file.path}': the refcount of host cluster ${cluster} exceeds 2^53-1`,
      );
    }
    return count;
  }

  /** Whether a refcount block for this cluster exists. */
  covers(cluster: number): boolean {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    return index * 8 < this.#table.length && this.#blockOffset(index) !== 0;
  }

  /** Errors: `REFCOUNT_LIMIT` when entries of this width cannot hold the count; nothing has changed then. */
  set(cluster: number, count: number): void {
    if (count > this.maximum) {
      throw new Qcow2Error(
        "REFCOUNT_LIMIT",
        `'${this.#options.file.path}': host cluster ${cluster} would be referenced ${count} times, but ${this.#bits}-bit refcounts hold at most ${this.maximum}`,
      );
    }
    const block = this.#block(cluster);
    if (block === undefined) throw new Qcow2Error("CORRUPT", `host cluster ${cluster} has no refcount block`);
    const entry = cluster % this.#geometry.blockEntries;
    writeCount(block.data, entry, this.#bits, count);
    block.markDirty(countPosition(entry, this.#bits));
  }

  /** The first cluster in `[from, end)` whose count is zero, or `end`. Clusters without a block count as zero. */
  findFree(from: number, end: number): number {
    let cluster = from;
    while (cluster < end) {
      const block = this.#block(cluster);
      if (block === undefined) return cluster;
      const stop = Math.min(end, (Math.floor(cluster / this.#geometry.blockEntries) + 1) * this.#geometry.blockEntries);
      let entry = cluster % this.#geometry.blockEntries;
      for (; cluster < stop; cluster++, entry++) if (readCount(block.data, entry, this.#bits) === 0) return cluster;
    }
    return end;
  }

  /**
   * Puts the missing refcount block that counts `cluster` into that cluster itself, which must be free.
   * Returns false when the table first had to grow and `cluster` may no longer be free.
   */
  createBlock(cluster: number): boolean {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    if (index * 8 >= this.#table.length) {
      this.#growTable(index);
      return false;
    }
    const { clusterSize } = this.#geometry;
    const offset = cluster * clusterSize;
    this.#options.guard.claim(offset, clusterSize, "refcount block");
    this.#options.ensureFileSize(offset + clusterSize);
    this.#cache.create(offset);
    writeUint64(this.#table, offset, index * 8);
    this.#dirtyEntries.add(index);
    this.set(cluster, 1);
    return true;
  }

  /** Makes the cluster at `offset`, which is counted elsewhere, the block that counts `cluster`. */
  adoptBlock(cluster: number, offset: number): void {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    this.#options.guard.claim(offset, this.#geometry.clusterSize, "refcount block");
    this.#cache.create(offset);
    writeUint64(this.#table, offset, index * 8);
    this.#dirtyEntries.add(index);
  }

  writeDirtyBlocks(): void {
    for (const block of this.#cache.dirtyTables()) {
      for (const run of block.dirtyRuns()) this.#options.file.writeSync(run.data, run.position);
      block.markClean();
    }
  }

  /** The changed table entries; their blocks must be durable before these are written. */
  takeTableWrites(): PendingWrite[] {
    const writes = [...this.#dirtyEntries].map((index) => ({
      position: this.#tableOffset + index * 8,
      data: Buffer.from(this.#table.subarray(index * 8, index * 8 + 8)),
    }));
    this.#dirtyEntries.clear();
    return writes;
  }

  #blockOffset(index: number): number {
    const offset = entryOffset(this.#table, index * 8);
    if (offset === undefined || offset % this.#geometry.clusterSize !== 0) {
      throw new Qcow2Error("CORRUPT", `'${this.#options.file.path}': refcount table entry ${index} is not valid`);
    }
    return offset;
  }

  #block(cluster: number): Table | undefined {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    if (index * 8 >= this.#table.length) return undefined;
    const offset = this.#blockOffset(index);
    return offset === 0 ? undefined : this.#cache.load(offset);
  }

  /**
   * Moves the table to the first clusters that it cannot count yet, together with the blocks that count them. The header switches in one
   * write of twelve bytes, after everything that it points to is durable.
   */
  #growTable(neededIndex: number): void {
    const { file, guard, settle, ensureFileSize } = this.#options;
    const { clusterSize, blockEntries } = this.#geometry;
    settle();
    const first = this.clusterCapacity;
    const firstIndex = this.#table.length / 8;
    let blocks = 1;
    let tableBytes = roundUp(Math.max(this.#table.length * 2, (neededIndex + 1) * 8), clusterSize);
    for (;;) {
      const clusters = blocks + tableBytes / clusterSize;
      const needed = Math.ceil(clusters / blockEntries);
      const bytes = roundUp(Math.max(tableBytes, (firstIndex + needed) * 8), clusterSize);
      if (needed === blocks && bytes === tableBytes) break;
      blocks = needed;
      tableBytes = bytes;
    }
    if (tableBytes > MAX_REFCOUNT_TABLE_BYTES) {
      throw new Qcow2Error(
        "TOO_LARGE",
        `'${file.path}' cannot grow: its refcount table has reached the format's limit`,
      );
    }
    const used = blocks + tableBytes / clusterSize;
    const tableOffset = (first + blocks) * clusterSize;
    ensureFileSize((first + used) * clusterSize);
    const grown = Buffer.alloc(tableBytes);
    this.#table.copy(grown);
    for (let block = 0; block < blocks; block++) {
      const offset = (first + block) * clusterSize;
      guard.claim(offset, clusterSize, "refcount block");
      writeUint64(grown, offset, (firstIndex + block) * 8);
      this.#cache.create(offset);
    }
    guard.claim(tableOffset, tableBytes, "refcount table");
    const old = { offset: this.#tableOffset, bytes: this.#table.length };
    this.#table = grown;
    for (let cluster = first; cluster < first + used; cluster++) this.set(cluster, 1);
    this.writeDirtyBlocks();
    file.writeSync(grown, tableOffset);
    file.syncSync();
    const pointer = Buffer.alloc(12);
    writeUint64(pointer, tableOffset, 0);
    pointer.writeUInt32BE(tableBytes / clusterSize, 8);
    file.writeSync(pointer, 48);
    file.syncSync();
    this.#tableOffset = tableOffset;
    this.#dirtyEntries.clear();
    guard.release(old.offset, old.bytes);
    for (let at = 0; at < old.bytes; at += clusterSize) {
      const cluster = (old.offset + at) / clusterSize;
      this.set(cluster, this.get(cluster) - 1);
    }
  }
}
