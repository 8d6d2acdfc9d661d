import type { ImageFile } from "./file-layer.ts";

/** The unit in which changed metadata is written back: a whole 64 KiB table for one changed entry would be wasteful. */
const SLICE_BYTES = 4096;

/** A write that is ready to go. */
export interface PendingWrite {
  readonly position: number;
  readonly data: Buffer;
}

/** How many tables of a cache are changed. */
export interface DirtyCount {
  tables: number;
}

/** One cluster of metadata in memory, with the slices of it that the file does not have yet. */
export class Table {
  readonly offset: number;
  readonly data: Buffer;
  /** Slices taken by a running flush but not yet written: until then the file's copy is stale, so the table must stay. */
  pins = 0;
  /** Second-chance mark of the cache. */
  referenced = true;
  readonly #dirty: Uint8Array;
  readonly #sliceBytes: number;
  readonly #total: DirtyCount;
  #dirtyCount = 0;

  constructor(offset: number, data: Buffer, total: DirtyCount) {
    this.offset = offset;
    this.data = data;
    this.#total = total;
    this.#sliceBytes = Math.min(SLICE_BYTES, data.length);
    this.#dirty = new Uint8Array(data.length / this.#sliceBytes);
  }

  get isDirty(): boolean {
    return this.#dirtyCount > 0;
  }

  markDirty(at: number): void {
    const slice = Math.floor(at / this.#sliceBytes);
    if (this.#dirty[slice] === 0) {
      if (this.#dirtyCount === 0) this.#total.tables++;
      this.#dirty[slice] = 1;
      this.#dirtyCount++;
    }
  }

  markAllDirty(): void {
    if (this.#dirtyCount === 0) this.#total.tables++;
    this.#dirty.fill(1);
    this.#dirtyCount = this.#dirty.length;
  }

  /** Runs of changed slices as views of the live table; the marks stay until `markClean`. */
  dirtyRuns(): PendingWrite[] {
    const runs: PendingWrite[] = [];
    for (let first = 0; first < this.#dirty.length; first++) {
      if (this.#dirty[first] === 0) continue;
      let end = first + 1;
      while (end < this.#dirty.length && this.#dirty[end] === 1) end++;
      const at = first * this.#sliceBytes;
      runs.push({ position: this.offset + at, data: this.data.subarray(at, end * this.#sliceBytes) });
      first = end;
    }
    return runs;
  }

  markClean(): void {
    if (this.#dirtyCount > 0) this.#total.tables--;
    this.#dirty.fill(0);
    this.#dirtyCount = 0;
  }
}

export interface TableCacheOptions {
  readonly file: ImageFile;
  readonly tableBytes: number;
  readonly capacityBytes: number;
  /** Called when every table is dirty: makes at least some of them clean. */
  readonly clean: () => void;
}

/** Metadata tables by host offset, bounded in bytes. A dirty or pinned table is never dropped. */
export class TableCache {
  readonly #options: TableCacheOptions;
  readonly #tables = new Map<number, Table>();
  readonly #capacity: number;
  readonly #dirty: DirtyCount = { tables: 0 };

  constructor(options: TableCacheOptions) {
    this.#options = options;
    this.#capacity = Math.max(4, Math.floor(options.capacityBytes / options.tableBytes));
  }

  has(offset: number): boolean {
    return this.#tables.has(offset);
  }

  /** The table at `offset`, read from the file when it is not here. */
  load(offset: number): Table {
    const known = this.#tables.get(offset);
    if (known) {
      known.referenced = true;
      return known;
    }
    this.#makeRoom();
    const data = Buffer.allocUnsafe(this.#options.tableBytes);
    const count = this.#options.file.readSync(data, offset);
    if (count < data.length) data.fill(0, count);
    return this.#insert(new Table(offset, data, this.#dirty));
  }

  /** A new table, which the file does not have: all of it is dirty. */
  create(offset: number, content?: Buffer): Table {
    this.#makeRoom();
    const data = Buffer.alloc(this.#options.tableBytes);
    content?.copy(data);
    const table = new Table(offset, data, this.#dirty);
    table.markAllDirty();
    return this.#insert(table);
  }

  /** Forgets a table whose cluster is given back. */
  forget(offset: number): void {
    this.#tables.get(offset)?.markClean();
    this.#tables.delete(offset);
  }

  clear(): void {
    this.#tables.clear();
    this.#dirty.tables = 0;
  }

  get hasDirty(): boolean {
    return this.#dirty.tables > 0;
  }

  /** In ascending order of offset, so that write-back moves in one direction. */
  dirtyTables(): Table[] {
    const dirty: Table[] = [];
    for (const table of this.#tables.values()) if (table.isDirty) dirty.push(table);
    return dirty.sort((left, right) => left.offset - right.offset);
  }

  #insert(table: Table): Table {
    this.#tables.set(table.offset, table);
    return table;
  }

  #makeRoom(): void {
    if (this.#tables.size < this.#capacity) return;
    if (this.#evict()) return;
    this.#options.clean();
    this.#evict();
  }

  #evict(): boolean {
    // Two rounds: the first takes back the second chances, in insertion order.
    for (let round = 0; round < 2; round++) {
      for (const [offset, table] of this.#tables) {
        if (table.isDirty || table.pins > 0) continue;
        if (table.referenced) {
          table.referenced = false;
          continue;
        }
        this.#tables.delete(offset);
        return true;
      }
    }
    return false;
  }
}
