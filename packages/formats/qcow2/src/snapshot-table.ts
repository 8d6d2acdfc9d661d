import { readUint64, writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { MAX_L1_BYTES, MAX_SNAPSHOT_TABLE_BYTES } from "./geometry.ts";
import type { Header } from "./header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** An entry of the snapshot table (qcow2 specification, "Snapshots"). */
export interface SnapshotEntry {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly createdAtMs: number;
  readonly vmClockNanoseconds: bigint;
  readonly vmStateBytes: number;
  /** The size of the disk when the snapshot was taken; version 2 need not say. */
  readonly diskBytes: number | undefined;
  /** Whether the entry says everything that version 3 demands. */
  readonly isComplete: boolean;
  /** The entry as it lies in the file, kept byte for byte: extra data of other programs is in it. A multiple of eight bytes. */
  readonly bytes: Buffer;
}

const FIXED_BYTES = 40;
const EXTRA_BYTES = 16;
/** QEMU's cap (block/qcow2.h, QCOW_MAX_SNAPSHOT_EXTRA_DATA). */
const MAX_EXTRA_BYTES = 1024;

/** Reads the snapshot table, bounded. Errors: `CORRUPT`. */
export function readSnapshots(file: ImageFile, header: Header): readonly SnapshotEntry[] {
  const snapshots: SnapshotEntry[] = [];
  const fileSize = file.status().sizeBytes;
  const fixed = Buffer.alloc(FIXED_BYTES);
  let at = header.snapshotsOffset;
  const corrupt = (what: string): Qcow2Error =>
    new Qcow2Error("CORRUPT", `'${file.path}': snapshot ${snapshots.length} ${what}`);
  for (let index = 0; index < header.snapshotCount; index++) {
    if (file.readSync(fixed, at) < fixed.length) throw corrupt("lies outside the file");
    const l1Offset = readUint64(fixed, 0);
    const l1Entries = fixed.readUInt32BE(8);
    const idLength = fixed.readUInt16BE(12);
    const nameLength = fixed.readUInt16BE(14);
    const extraLength = fixed.readUInt32BE(36);
    if (l1Offset === undefined || l1Offset % header.geometry.clusterSize !== 0 || l1Entries * 8 > MAX_L1_BYTES) {
      throw corrupt("has an impossible L1 table");
    }
    if (l1Offset + l1Entries * 8 > fileSize) throw corrupt("has an L1 table outside the file");
    if (extraLength > MAX_EXTRA_BYTES) throw corrupt(`has ${extraLength} bytes of extra data`);
    const size = Math.ceil((FIXED_BYTES + extraLength + idLength + nameLength) / 8) * 8;
    if (at + size - header.snapshotsOffset > MAX_SNAPSHOT_TABLE_BYTES) throw corrupt("makes the table too large");
    const bytes = Buffer.alloc(size);
    file.readSync(bytes, at);
    const textAt = FIXED_BYTES + extraLength;
    snapshots.push({
      id: bytes.toString("utf8", textAt, textAt + idLength),
      name: bytes.toString("utf8", textAt + idLength, textAt + idLength + nameLength),
      l1Offset,
      l1Entries,
      createdAtMs: bytes.readUInt32BE(16) * 1000 + Math.floor(bytes.readUInt32BE(20) / 1_000_000),
      vmClockNanoseconds: bytes.readBigUInt64BE(24),
      vmStateBytes: (extraLength >= 8 ? readUint64(bytes, 40) : bytes.readUInt32BE(32)) ?? 0,
      diskBytes: extraLength >= EXTRA_BYTES ? readUint64(bytes, 48) : undefined,
      isComplete: extraLength >= EXTRA_BYTES,
      bytes,
    });
    at += size;
  }
  return snapshots;
}

/** The bytes that the table takes. */
export function snapshotTableBytes(file: ImageFile, header: Header): number {
  return readSnapshots(file, header).reduce((sum, snapshot) => sum + snapshot.bytes.length, 0);
}

export interface NewSnapshotEntry {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly createdAtMs: number;
  readonly diskBytes: number;
}

/** An entry of a snapshot without the state of a VM. */
export function encodeSnapshot(snapshot: NewSnapshotEntry): Buffer {
  const id = Buffer.from(snapshot.id);
  const name = Buffer.from(snapshot.name);
  // QEMU writes an instruction count too, and all bits set where it is not known.
  const extra = EXTRA_BYTES + 8;
  const bytes = Buffer.alloc(Math.ceil((FIXED_BYTES + extra + id.length + name.length) / 8) * 8);
  writeUint64(bytes, snapshot.l1Offset, 0);
  bytes.writeUInt32BE(snapshot.l1Entries, 8);
  bytes.writeUInt16BE(id.length, 12);
  bytes.writeUInt16BE(name.length, 14);
  bytes.writeUInt32BE(Math.floor(snapshot.createdAtMs / 1000), 16);
  bytes.writeUInt32BE((snapshot.createdAtMs % 1000) * 1_000_000, 20);
  bytes.writeUInt32BE(extra, 36);
  writeUint64(bytes, snapshot.diskBytes, 48);
  bytes.fill(0xff, 56, 64);
  id.copy(bytes, FIXED_BYTES + extra);
  name.copy(bytes, FIXED_BYTES + extra + id.length);
  return bytes;
}
