import { compressCluster } from "./compression.ts";
import { compressedOffsetLimit } from "./entry.ts";
import { type ImageCore, type ImageWriter, prepareWriter } from "./image-core.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import { writeImage } from "./write-path.ts";
import { writeZeroes } from "./zero-path.ts";
import { writeData } from "./guest-data.ts";

/** Clusters that are compressed at the same time, each on a thread of its own while there are some. */
const PARALLEL_CLUSTERS = 8;

/**
 * Stores whole clusters, compressed where that makes them smaller. `begin` is called after each wait, before anything changes.
 * Errors: `INVALID_ARGUMENT`, `UNSUPPORTED_FEATURE`, and those of writing.
 */
export async function writeCompressed(
  core: ImageCore,
  buffer: Uint8Array,
  offset: number,
  begin: () => void,
): Promise<void> {
  prepareWriter(core);
  assertCompressible(core, buffer.length, offset);
  const step = PARALLEL_CLUSTERS * core.geometry.clusterSize;
  for (let at = 0; at < buffer.length; at += step) {
    const data = buffer.subarray(at, at + step);
    const packed = await packClusters(core, data);
    begin();
    storePacked(core, data, offset + at, packed);
  }
}

function assertCompressible(core: ImageCore, length: number, offset: number): void {
  const { clusterSize } = core.geometry;
  const end = offset + length;
  if (offset % clusterSize !== 0 || (end % clusterSize !== 0 && end !== core.virtualSizeBytes)) {
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      `range ${offset}+${length} is not made of whole clusters of ${clusterSize}`,
    );
  }
  if (core.cipher !== undefined) {
    throw new Qcow2Error(
      "UNSUPPORTED_FEATURE",
      `'${core.file.path}' is encrypted, and the format has no encryption for what is compressed`,
    );
  }
  if (core.data !== core.file) {
    throw new Qcow2Error(
      "UNSUPPORTED_FEATURE",
      `'${core.file.path}' has an external data file, which holds nothing compressed`,
    );
  }
}

/** Each cluster compressed; `undefined` for one that would not become smaller, `"zero"` for one that holds nothing. */
type PackedCluster = Buffer | "zero" | undefined;

function packClusters(core: ImageCore, data: Uint8Array): Promise<PackedCluster[]> {
  const { clusterSize } = core.geometry;
  const work: Promise<PackedCluster>[] = [];
  for (let at = 0; at < data.length; at += clusterSize) {
    work.push(packCluster(core, data.subarray(at, at + clusterSize)));
  }
  return Promise.all(work);
}

async function packCluster(core: ImageCore, data: Uint8Array): Promise<PackedCluster> {
  const { clusterSize } = core.geometry;
  let whole = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (whole.length < clusterSize) whole = Buffer.concat([whole, Buffer.alloc(clusterSize - whole.length)]);
  if (whole.readUInt8(0) === 0 && whole.compare(whole, 1, clusterSize, 0, clusterSize - 1) === 0) return "zero";
  const packed = await compressCluster(whole, core.header.compression);
  return packed.length < clusterSize ? packed : undefined;
}

function storePacked(core: ImageCore, whole: Uint8Array, offset: number, packed: readonly PackedCluster[]): void {
  const { clusterSize } = core.geometry;
  const writer = prepareWriter(core);
  for (const [index, cluster] of packed.entries()) {
    const at = index * clusterSize;
    const data = whole.subarray(at, at + clusterSize);
    if (cluster === "zero") writeZeroes(core, offset + at, data.length);
    else if (cluster === undefined) writeImage(core, data, offset + at);
    else storeCluster(core, writer, cluster, offset + at);
  }
}

function storeCluster(core: ImageCore, writer: ImageWriter, packed: Buffer, offset: number): void {
  // Before the allocation: it may itself allocate, and may wait for a barrier.
  const slot = core.mapping.slotForWrite(offset);
  let host: number;
  try {
    host = writer.allocator.allocatePacked(packed.length);
  } catch (error) {
    throw toQcow2Error(error, `cannot allocate in '${core.file.path}'`);
  }
  try {
    if (host + packed.length > compressedOffsetLimit(core.geometry.clusterBits)) {
      throw new Qcow2Error("TOO_LARGE", `'${core.file.path}' is too long for compressed data at its end`);
    }
    writeData(core, writer, packed, host);
  } catch (error) {
    writer.allocator.releasePacked(host, packed.length);
    throw error;
  }
  const old = core.mapping.referencedBy(slot);
  core.mapping.setCompressed(slot, host, packed.length);
  if (old) writer.allocator.deferFree(old.offset, old.bytes);
  // What was last read compressed may have lain where this is now.
  core.decompressed = undefined;
}
