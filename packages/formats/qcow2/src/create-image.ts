import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { writeUint64 } from "./entry.ts";
import { type FileLayer, nodeFileLayer } from "./file-layer.ts";
import { assertVirtualSize, clusterBitsOf, geometryOf, l1EntriesFor, MAX_REFCOUNT_TABLE_BYTES } from "./geometry.ts";
import { assertBackingName, layoutHeader, type NewBacking } from "./header-layout.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

export interface CreateImageOptions {
  readonly path: string;
  /** A multiple of 512. */
  readonly virtualSizeBytes: number;
  /** A power of two from 512 bytes to 2 MiB. Defaults to 65536. */
  readonly clusterSizeBytes?: number;
  /** The image below the new one. Its name is stored as given, relative names counting from the new image's folder. */
  readonly backing?: NewBacking;
  /** Whether the image survives a power loss once this returns. Defaults to true. */
  readonly durable?: boolean;
  /** Defaults to the real file system. */
  readonly fileLayer?: FileLayer;
}

/**
 * Creates an empty version 3 image, complete or not at all: it is written under a temporary name in the same folder, synced, and then
 * published. A file of that name is never replaced.
 *
 * Errors: `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `TOO_LARGE`, `NO_SPACE`.
 */
export function createImageSync(options: CreateImageOptions): void {
  const { path, virtualSizeBytes, backing, durable = true } = options;
  assertVirtualSize(virtualSizeBytes);
  const clusterSize = options.clusterSizeBytes ?? 65536;
  const clusterBits = clusterBitsOf(clusterSize);
  const geometry = geometryOf(clusterBits, 4);
  const l1Entries = l1EntriesFor(virtualSizeBytes, geometry);
  if (backing) assertBackingName(backing.path, clusterSize);

  // Header, refcount table, refcount blocks, L1: the blocks also count themselves and the table, so find the fixed point.
  const l1Clusters = Math.ceil((l1Entries * 8) / clusterSize);
  let blocks = 1;
  let tableClusters = 1;
  for (;;) {
    const total = 1 + tableClusters + blocks + l1Clusters;
    const neededBlocks = Math.ceil(total / geometry.blockEntries);
    const neededTable = Math.ceil((neededBlocks * 8) / clusterSize);
    if (neededBlocks === blocks && neededTable === tableClusters) break;
    blocks = neededBlocks;
    tableClusters = neededTable;
  }
  if (tableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
    throw new Qcow2Error("TOO_LARGE", `a disk of ${virtualSizeBytes} bytes needs a larger cluster size`);
  }
  const used = 1 + tableClusters + blocks + l1Clusters;
  const firstBlock = 1 + tableClusters;
  const table = Buffer.alloc(blocks * 8);
  for (let block = 0; block < blocks; block++) writeUint64(table, (firstBlock + block) * clusterSize, block * 8);
  const counts = Buffer.alloc(used * 2);
  for (let cluster = 0; cluster < used; cluster++) counts.writeUInt16BE(1, cluster * 2);

  const layer = options.fileLayer ?? nodeFileLayer;
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const file = layer.openSync(temporary, { write: true, create: true });
  try {
    try {
      // Nothing but what is not zero is written: an empty image then takes a few file system blocks.
      file.truncateSync(used * clusterSize);
      file.writeSync(
        layoutHeader({
          clusterBits,
          virtualSizeBytes,
          l1Entries,
          l1Offset: l1Clusters === 0 ? 0 : (firstBlock + blocks) * clusterSize,
          refcountTableOffset: clusterSize,
          refcountTableClusters: tableClusters,
          backing,
        }),
        0,
      );
      file.writeSync(table, clusterSize);
      file.writeSync(counts, firstBlock * clusterSize);
      if (durable) file.syncSync();
    } finally {
      file.closeSync();
    }
    layer.publishSync(temporary, path, { durable });
  } catch (error) {
    try {
      layer.removeSync(temporary);
    } catch {
      // Already published or never created: the first error is the one to report.
    }
    throw toQcow2Error(error, `cannot create '${path}'`);
  }
}

/** As `createImageSync`. */
export async function createImage(options: CreateImageOptions): Promise<void> {
  createImageSync(options);
}
