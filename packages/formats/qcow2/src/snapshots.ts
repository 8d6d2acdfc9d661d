import { writeUint64 } from "./entry.ts";
import { l1EntriesFor, MAX_SNAPSHOT_TABLE_BYTES, MAX_SNAPSHOTS } from "./geometry.ts";
import { readTable } from "./header.ts";
import { type ImageCore, type ImageWriter, prepareWriter, reloadImageCore } from "./image-core.ts";
import { clearDirty, hasLazyRefcounts, setDirty } from "./lazy-refcounts.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import { encodeSnapshot, readSnapshots, type SnapshotEntry } from "./snapshot-table.ts";
import { addReferences, alignCopiedFlags, visitTree } from "./snapshot-tree.ts";

/** An internal snapshot: the disk as it was, kept inside the same file. */
export interface SnapshotInfo {
  /** Unique in its image; numbers, as QEMU gives them. */
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  /** The size of the disk then; `undefined` where an old version 2 image does not say, which means the present size. */
  readonly diskBytes: number | undefined;
  /** The state of a running VM that QEMU stored with it; 0 for none. */
  readonly vmStateBytes: number;
}

const MAX_TEXT_BYTES = 65535;

export function listSnapshots(core: ImageCore): SnapshotInfo[] {
  return readSnapshots(core.file, core.header).map(infoOf);
}

function infoOf(entry: SnapshotEntry): SnapshotInfo {
  const { id, name, createdAtMs, diskBytes, vmStateBytes } = entry;
  return { id, name, createdAt: new Date(createdAtMs), diskBytes, vmStateBytes };
}

/** The snapshot with this id or, if there is none, the first with this name. Errors: `NOT_FOUND`. */
export function findSnapshot(core: ImageCore, idOrName: string): SnapshotEntry {
  const snapshots = readSnapshots(core.file, core.header);
  const found =
    snapshots.find((snapshot) => snapshot.id === idOrName) ?? snapshots.find((snapshot) => snapshot.name === idOrName);
  if (found) return found;
  throw new Qcow2Error("NOT_FOUND", `'${core.file.path}' has no snapshot '${idOrName}'`);
}

interface TableChange {
  readonly writer: ImageWriter;
  /** Writes bytes into new clusters and gives their offset; 0 for none. Given back when the change fails before `committed`. */
  readonly place: (bytes: Buffer) => number;
  /** From here on an error leaves the tables half changed. */
  readonly committed: () => void;
}

/**
 * Runs one change of the tables. Before: everything is in the file, and the dirty bit says, durably, that refcounts and copied flags are being
 * changed together, which no disk can do at once; a crash has them counted anew. After: everything is durable, and read again.
 *
 * `change` may throw before its first write to a table and then leaves things as they were; an error later ends all writing.
 */
function changeTables<Result>(core: ImageCore, change: (change: TableChange) => Result): Result {
  const writer = prepareWriter(core);
  const { file } = core;
  if (core.data !== file) {
    throw new Qcow2Error(
      "UNSUPPORTED_FEATURE",
      `'${file.path}' has an external data file, so it can have no snapshots`,
    );
  }
  let started = false;
  const placed: { readonly offset: number; readonly clusters: number }[] = [];
  let result: Result;
  try {
    writer.barrier.flushAllSync();
    setDirty(core, writer);
    result = change({
      writer,
      place: (bytes) => {
        if (bytes.length === 0) return 0;
        const clusters = writeClusters(core, writer, bytes);
        placed.push(clusters);
        return clusters.offset;
      },
      committed: () => {
        started = true;
      },
    });
    writer.barrier.flushAllSync();
    if (!hasLazyRefcounts(core.header)) clearDirty(core, writer);
  } catch (error) {
    const failure = toQcow2Error(error, `cannot change the snapshots of '${file.path}'`);
    if (started) writer.barrier.fail(failure);
    else {
      for (const clusters of placed) writer.allocator.release({ ...clusters, zeroed: false });
      if (!hasLazyRefcounts(core.header)) {
        writer.barrier.flushAllSync();
        clearDirty(core, writer);
      }
    }
    throw failure;
  }
  reloadImageCore(core);
  return result;
}

function writeClusters(core: ImageCore, writer: ImageWriter, bytes: Buffer): { offset: number; clusters: number } {
  const { clusterSize } = core.geometry;
  const clusters = Math.ceil(bytes.length / clusterSize);
  const offset = writer.allocator.allocateContiguous(clusters);
  try {
    core.file.writeSync(Buffer.concat([bytes, Buffer.alloc(clusters * clusterSize - bytes.length)]), offset);
  } catch (error) {
    writer.allocator.release({ offset, clusters, zeroed: false });
    throw error;
  }
  writer.barrier.noteDataWritten();
  return { offset, clusters };
}

/** An L1 table with no copied flag set. */
function withoutFlags(l1: Buffer): Buffer {
  const copy = Buffer.from(l1);
  for (let at = 0; at < copy.length; at += 8) copy.writeUInt8(copy.readUInt8(at) & 0x7f, at);
  return copy;
}

/** Switches to another snapshot table. The old one is free afterwards. */
function publishTable(core: ImageCore, writer: ImageWriter, entries: readonly Buffer[], table: number): void {
  const { file, header } = core;
  const pointer = Buffer.alloc(12);
  pointer.writeUInt32BE(entries.length, 0);
  writeUint64(pointer, table, 4);
  file.writeSync(pointer, 60);
  writer.barrier.syncSync();
  if (header.snapshotCount === 0) return;
  const { clusterSize } = core.geometry;
  const bytes = readSnapshotsBytes(core);
  const first = header.snapshotsOffset / clusterSize;
  const clusters = Math.ceil(bytes / clusterSize);
  writer.allocator.applyFrees(Array.from({ length: clusters }, (_, index) => first + index));
}

function readSnapshotsBytes(core: ImageCore): number {
  return readSnapshots(core.file, core.header).reduce((sum, entry) => sum + entry.bytes.length, 0);
}

export interface CreateSnapshotOptions {
  /** Defaults to the id. */
  readonly name?: string;
  /** Defaults to now. */
  readonly createdAt?: Date;
}

/** Keeps the disk as it is now. Errors: `INVALID_ARGUMENT`, `TOO_LARGE`, `REFCOUNT_LIMIT`, `UNSUPPORTED_FEATURE`, `NO_SPACE`; nothing has changed then. */
export function createSnapshot(core: ImageCore, options: CreateSnapshotOptions): SnapshotInfo {
  return changeTables(core, ({ writer, place, committed }) => {
    const { file, header, mapping } = core;
    const existing = readSnapshots(file, header);
    const highest = existing.reduce((most, { id }) => Math.max(most, /^\d{1,15}$/.test(id) ? Number(id) : 0), 0);
    const id = String(highest + 1);
    const name = options.name ?? id;
    if (Buffer.byteLength(name) > MAX_TEXT_BYTES || name.includes("\0")) {
      throw new Qcow2Error("INVALID_ARGUMENT", `a snapshot's name has at most ${MAX_TEXT_BYTES} bytes`);
    }
    const size = existing.reduce((sum, entry) => sum + entry.bytes.length, 0) + 64 + Buffer.byteLength(name) + 24;
    if (existing.length >= MAX_SNAPSHOTS || size > MAX_SNAPSHOT_TABLE_BYTES) {
      throw new Qcow2Error("TOO_LARGE", `'${file.path}' cannot have more snapshots`);
    }
    const createdAtMs = (options.createdAt ?? new Date()).getTime();
    const l1 = Buffer.from(mapping.l1Bytes);
    // The flags of the copy are clear: whoever reads it may count on nothing being written in place.
    const entry = encodeSnapshot({
      id,
      name,
      l1Offset: place(withoutFlags(l1)),
      l1Entries: l1.length / 8,
      createdAtMs,
      diskBytes: core.virtualSizeBytes,
    });
    const entries = [...existing.map((snapshot) => snapshot.bytes), entry];
    const table = place(Buffer.concat(entries));
    addReferences(file, header, l1, writer);
    committed();
    writer.barrier.flushAllSync();
    // The counts are durable, so the flags may go; and only without them may the snapshot be seen.
    alignCopiedFlags(file, header, { l1, l1Offset: header.l1Offset }, writer);
    writer.barrier.syncSync();
    publishTable(core, writer, entries, table);
    return { id, name, createdAt: new Date(createdAtMs), diskBytes: core.virtualSizeBytes, vmStateBytes: 0 };
  });
}

/** Gives a snapshot up: what it alone held is free space. Errors: `NOT_FOUND`, `CORRUPT`. */
export function deleteSnapshot(core: ImageCore, idOrName: string): void {
  const snapshot = findSnapshot(core, idOrName);
  changeTables(core, ({ writer, place, committed }) => {
    const { file, header, mapping } = core;
    const { clusterSize } = core.geometry;
    const l1 = readTable(file, snapshot.l1Offset, snapshot.l1Entries * 8);
    const released: number[] = [];
    visitTree(file, header, l1, (cluster) => released.push(cluster));
    const entries = readSnapshots(file, header)
      .filter((entry) => entry.id !== snapshot.id || entry.l1Offset !== snapshot.l1Offset)
      .map((entry) => entry.bytes);
    const table = place(Buffer.concat(entries));
    committed();
    writer.barrier.flushAllSync();
    publishTable(core, writer, entries, table);
    for (let at = 0; at < l1.length; at += clusterSize) released.push((snapshot.l1Offset + at) / clusterSize);
    writer.allocator.applyFrees(released);
    writer.barrier.flushAllSync();
    alignCopiedFlags(file, header, { l1: Buffer.from(mapping.l1Bytes), l1Offset: header.l1Offset }, writer);
    writer.barrier.syncSync();
  });
}

/**
 * Makes the disk what it was, its size too. What was written since is lost, unless another snapshot holds it. The state of a VM is not loaded.
 * Errors: `NOT_FOUND`, `REFCOUNT_LIMIT`, `CORRUPT`, `NO_SPACE`; nothing has changed then.
 */
export function applySnapshot(core: ImageCore, idOrName: string): void {
  const snapshot = findSnapshot(core, idOrName);
  const diskBytes = snapshot.diskBytes ?? core.virtualSizeBytes;
  const resized = diskBytes !== core.virtualSizeBytes;
  if (resized) core.bitmaps.begin(prepareWriter(core), { all: true });
  changeTables(core, ({ writer, place, committed }) => {
    const { file, header, mapping } = core;
    const { clusterSize } = core.geometry;
    const entries = l1EntriesFor(diskBytes, core.geometry);
    // Past the end of the disk lies the state of a VM, which is not the disk's.
    const kept = readTable(file, snapshot.l1Offset, Math.min(snapshot.l1Entries, entries) * 8);
    const old = { l1: Buffer.from(mapping.l1Bytes), offset: header.l1Offset };
    const released: number[] = [];
    visitTree(file, header, old.l1, (cluster) => released.push(cluster));
    const l1 = Buffer.alloc(entries * 8);
    withoutFlags(kept).copy(l1);
    const l1Offset = place(l1);
    addReferences(file, header, kept, writer);
    committed();
    writer.barrier.flushAllSync();
    alignCopiedFlags(file, header, { l1: Buffer.from(l1), l1Offset: undefined }, writer);
    writer.barrier.syncSync();
    // Size, encryption method, length and place of the L1 table: neighbours in the first sector, so they change at once.
    const fields = Buffer.alloc(24);
    file.readSync(fields, 24);
    writeUint64(fields, diskBytes, 0);
    fields.writeUInt32BE(entries, 12);
    writeUint64(fields, l1Offset, 16);
    file.writeSync(fields, 24);
    writer.barrier.syncSync();
    for (let at = 0; at < old.l1.length; at += clusterSize) released.push((old.offset + at) / clusterSize);
    writer.allocator.applyFrees(released);
    writer.barrier.flushAllSync();
    alignCopiedFlags(file, header, { l1, l1Offset }, writer);
    writer.barrier.syncSync();
  });
  if (resized) core.bitmaps.resize(core.header, diskBytes);
  // Any byte may differ now from what it was.
  core.bitmaps.mark(0, diskBytes);
  if (resized) core.bitmaps.store(core, prepareWriter(core));
}
