import { readUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { MAX_L1_BYTES, MAX_SNAPSHOT_TABLE_BYTES } from "./geometry.ts";
import type { Header } from "./header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** An internal snapshot as another program wrote it. This engine keeps snapshots intact and makes none. */
export interface InternalSnapshot {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  /** Where its entry in the snapshot table ends. */
  readonly endOffset: number;
}

interface SnapshotTable {
  readonly snapshots: readonly InternalSnapshot[];
  readonly bytes: number;
}

function readSnapshotTable(file: ImageFile, header: Header): SnapshotTable {
  const snapshots: InternalSnapshot[] = [];
  const fileSize = file.status().sizeBytes;
  const fixed = Buffer.alloc(40);
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
    if (extraLength > 1024) throw corrupt(`has ${extraLength} bytes of extra data`);
    const text = Buffer.alloc(idLength + nameLength);
    file.readSync(text, at + 40 + extraLength);
    const endOffset = at + Math.ceil((40 + extraLength + text.length) / 8) * 8;
    snapshots.push({
      id: text.toString("utf8", 0, idLength),
      name: text.toString("utf8", idLength),
      l1Offset,
      l1Entries,
      endOffset,
    });
    at = endOffset;
    if (at - header.snapshotsOffset > MAX_SNAPSHOT_TABLE_BYTES) throw corrupt("makes the table too large");
  }
  return { snapshots, bytes: at - header.snapshotsOffset };
}

/** The internal snapshots, bounded. Errors: `CORRUPT`. */
export function readSnapshots(file: ImageFile, header: Header): readonly InternalSnapshot[] {
  return readSnapshotTable(file, header).snapshots;
}

export function snapshotTableBytes(file: ImageFile, header: Header): number {
  return readSnapshotTable(file, header).bytes;
}
