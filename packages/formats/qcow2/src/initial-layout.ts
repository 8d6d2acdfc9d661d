import { writeEntry, writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { l1EntriesFor, MAX_REFCOUNT_TABLE_BYTES } from "./geometry.ts";
import { layoutHeader, type NewBacking } from "./header-layout.ts";
import type { DataFileReference } from "./header.ts";
import type { CheckedFormat } from "./image-format.ts";
import type { LuksDraft } from "./luks-unlock.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { writeCount } from "./refcount-entry.ts";
import { ALL_SUBCLUSTERS, writeSubclusterBits } from "./subcluster.ts";

/** Where the parts of a new image lie, in clusters: header, refcount table, refcount blocks, L1 table, L2 tables, encryption header. */
export interface InitialLayout {
  readonly format: CheckedFormat;
  readonly virtualSizeBytes: number;
  readonly l1Entries: number;
  readonly tableClusters: number;
  readonly blocks: number;
  readonly l1Clusters: number;
  /** One for every L1 entry, or none. */
  readonly l2Tables: number;
  readonly keyClusters: number;
  readonly used: number;
}

/** Errors: `TOO_LARGE`. */
export function initialLayout(
  format: CheckedFormat,
  virtualSizeBytes: number,
  options: { readonly mapped: boolean; readonly keyBytes: number },
): InitialLayout {
  const { geometry } = format;
  const { clusterSize } = geometry;
  const l1Entries = l1EntriesFor(virtualSizeBytes, geometry);
  const l1Clusters = Math.ceil((l1Entries * 8) / clusterSize);
  const l2Tables = options.mapped ? l1Entries : 0;
  const keyClusters = Math.ceil(options.keyBytes / clusterSize);
  // The blocks also count themselves and the table, so find the fixed point.
  let blocks = 1;
  let tableClusters = 1;
  for (;;) {
    const total = 1 + tableClusters + blocks + l1Clusters + l2Tables + keyClusters;
    const neededBlocks = Math.ceil(total / geometry.blockEntries);
    const neededTable = Math.ceil((neededBlocks * 8) / clusterSize);
    if (neededBlocks === blocks && neededTable === tableClusters) break;
    blocks = neededBlocks;
    tableClusters = neededTable;
  }
  if (tableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
    throw new Qcow2Error("TOO_LARGE", `a disk of ${virtualSizeBytes} bytes needs a larger cluster size`);
  }
  const used = 1 + tableClusters + blocks + l1Clusters + l2Tables + keyClusters;
  return { format, virtualSizeBytes, l1Entries, tableClusters, blocks, l1Clusters, l2Tables, keyClusters, used };
}

/** Writes a new image into an empty file: nothing but what is not zero, so that an empty image takes a few file system blocks. */
export function writeInitialLayout(
  file: ImageFile,
  layout: InitialLayout,
  names: { readonly backing: NewBacking | undefined; readonly dataFile: DataFileReference | undefined },
  luks: LuksDraft | undefined,
): void {
  const { format, virtualSizeBytes, l1Entries, tableClusters, blocks, l1Clusters, l2Tables, keyClusters, used } =
    layout;
  const { geometry } = format;
  const { clusterSize, refcountBits } = geometry;
  const firstBlock = 1 + tableClusters;
  const l1Offset = l1Clusters === 0 ? 0 : (firstBlock + blocks) * clusterSize;
  const keysOffset = (used - keyClusters) * clusterSize;
  const header = layoutHeader({
    ...format,
    encryption: luks && { offset: keysOffset, length: luks.length },
    ...names,
    virtualSizeBytes,
    l1Entries,
    l1Offset,
    refcountTableOffset: clusterSize,
    refcountTableClusters: tableClusters,
  });
  const table = Buffer.alloc(blocks * 8);
  for (let block = 0; block < blocks; block++) writeUint64(table, (firstBlock + block) * clusterSize, block * 8);
  // Blocks lie next to each other and each is filled to its last bit, so together they are one long block.
  const counts = Buffer.alloc(Math.ceil((used * refcountBits) / 8));
  for (let cluster = 0; cluster < used; cluster++) writeCount(counts, cluster, refcountBits, 1);
  file.truncateSync(used * clusterSize);
  file.writeSync(header, 0);
  file.writeSync(table, clusterSize);
  file.writeSync(counts, firstBlock * clusterSize);
  if (luks) file.writeSync(luks.bytes, keysOffset);
  if (l2Tables === 0) return;
  const l1 = Buffer.alloc(l1Entries * 8);
  const l2 = Buffer.alloc(clusterSize);
  const clusters = Math.ceil(virtualSizeBytes / clusterSize);
  for (let index = 0; index < l2Tables; index++) {
    const offset = l1Offset + (l1Clusters + index) * clusterSize;
    writeEntry(l1, index * 8, offset);
    for (let entry = 0; entry < geometry.l2Entries; entry++) {
      const cluster = index * geometry.l2Entries + entry;
      const at = entry * geometry.l2EntryBytes;
      if (cluster >= clusters) l2.fill(0, at, at + geometry.l2EntryBytes);
      else {
        // In an external data file every cluster lies at its guest offset.
        writeEntry(l2, at, cluster * clusterSize);
        if (geometry.extendedL2) writeSubclusterBits(l2, at, ALL_SUBCLUSTERS, 0);
      }
    }
    file.writeSync(l2, offset);
  }
  file.writeSync(l1, l1Offset);
}
