import {
  constants,
  deflateRaw,
  inflateRawSync,
  type InputType,
  zstdCompress,
  zstdDecompressSync,
  type ZlibOptions,
  type ZstdOptions,
} from "node:zlib";

export type CompressionMethod = "zlib" | "zstd";

/** QEMU reads deflate streams with a window of 4 KiB only (block/qcow2-threads.c). */
const DEFLATE_OPTIONS: ZlibOptions = { windowBits: 12, level: 6 };
/** A zstd frame may ask its reader for memory: 8 MiB, which is what its ordinary levels use. */
const MAX_ZSTD_WINDOW_LOG = 23;
const ZSTD_MAGIC = 0xfd2f_b528;

/** Packs one cluster. The caller compares sizes: what does not become smaller is not worth it. */
export function compressCluster(data: InputType, method: CompressionMethod): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, packed: Buffer): void => (error ? reject(error) : resolve(packed));
    if (method === "zlib") deflateRaw(data, DEFLATE_OPTIONS, done);
    else zstdCompress(data, done);
  });
}

/**
 * Unpacks one cluster: never more than `clusterSize` bytes whatever the data says, with bounded memory. `packed` may be longer than the data,
 * since its length is only known in sectors. Throws what the decompressor throws when the data is damaged.
 */
export function decompressCluster(packed: Buffer, method: CompressionMethod, clusterSize: number): Buffer {
  if (method === "zlib") return inflateRawSync(packed, { maxOutputLength: clusterSize });
  const options: ZstdOptions = {
    maxOutputLength: clusterSize,
    params: { [constants.ZSTD_d_windowLogMax]: MAX_ZSTD_WINDOW_LOG },
  };
  return zstdDecompressSync(packed.subarray(0, zstdFrameLength(packed)), options);
}

/**
 * The length of the zstd frame that a buffer begins with, from its block headers (RFC 8878, section 3.1.1): the decompressor refuses what
 * follows a frame. A frame that does not end in the buffer counts as all of it, which the decompressor then judges.
 */
export function zstdFrameLength(buffer: Buffer): number {
  if (buffer.length < 6 || buffer.readUInt32LE(0) !== ZSTD_MAGIC) return buffer.length;
  const descriptor = buffer.readUInt8(4);
  const singleSegment = (descriptor >>> 5) & 1;
  const contentSizeBytes = [singleSegment, 2, 4, 8][descriptor >>> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  let at = 5 + (1 - singleSegment) + dictionaryBytes + contentSizeBytes;
  while (at + 3 <= buffer.length) {
    const header = buffer.readUIntLE(at, 3);
    const kind = (header >>> 1) & 3;
    // A run-length block stores one byte, however many it stands for.
    at += 3 + (kind === 1 ? 1 : header >>> 3);
    if ((header & 1) === 1) return Math.min(buffer.length, at + ((descriptor >>> 2) & 1) * 4);
  }
  return buffer.length;
}
