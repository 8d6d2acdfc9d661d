import { hash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { damaged } from "./repository-failure.ts";

/** What a blob is: a part of a disk, or a list of hashes. */
export type BlobKind = "chunk" | "node";

/** A SHA-256, of 32 bytes. */
export type BlobHash = Buffer;

/** Where a blob is. */
export interface BlobPlace {
  readonly pack: number;
  /** Of its header, in the pack. */
  readonly offset: number;
  /** With its header. */
  readonly length: number;
}

/** Bytes of a hash. */
export const hashBytes: number = 32;
/** Bytes before a blob in a pack: hash, codec, kind, two of zero, stored size, plain size (little endian). */
export const blobHeaderBytes: number = 44;
/** The hash that stands for zeroes, which are not stored. */
export const zeroHash: BlobHash = Buffer.alloc(hashBytes);
/** The largest chunk. */
export const maxBlobBytes: number = 1024 * 1024;

const codecs = { raw: 0, zstd: 1 } as const;
const kinds: readonly BlobKind[] = ["chunk", "node"];

/** The hash of a blob's content. */
export function hashOf(content: Buffer): BlobHash {
  return hash("sha256", content, "buffer");
}

export function isZeroHash(value: BlobHash): boolean {
  return value.equals(zeroHash);
}

const zeroes = Buffer.alloc(64 * 1024);

/** Whether all bytes are zero. */
export function isZero(content: Buffer): boolean {
  for (let at = 0; at < content.length; at += zeroes.length) {
    const length = Math.min(zeroes.length, content.length - at);
    if (content.compare(zeroes, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}

/**
 * A blob as it is in a pack. What zstd does not make smaller by a sixteenth is stored as it is.
 *
 * It compresses at once: with the size stated and room for all of it that takes a tenth of the time that the thread pool's way does.
 */
export function encodeBlob(kind: BlobKind, id: BlobHash, content: Buffer): Buffer {
  const packed = zstdCompressSync(content, {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    pledgedSrcSize: content.length,
    chunkSize: content.length + 1024,
  });
  const isWorthIt = packed.length < content.length - content.length / 16;
  const payload = isWorthIt ? packed : content;
  const blob = Buffer.allocUnsafe(blobHeaderBytes + payload.length);
  id.copy(blob, 0);
  blob.writeUInt8(isWorthIt ? codecs.zstd : codecs.raw, 32);
  blob.writeUInt8(kinds.indexOf(kind), 33);
  blob.writeUInt16LE(0, 34);
  blob.writeUInt32LE(payload.length, 36);
  blob.writeUInt32LE(content.length, 40);
  payload.copy(blob, blobHeaderBytes);
  return blob;
}

/** A blob's header. Nothing in it is trusted: sizes are held against what a blob can have. */
export interface BlobHeader {
  readonly hash: BlobHash;
  readonly kind: BlobKind;
  readonly codec: "raw" | "zstd";
  readonly storedBytes: number;
  readonly plainBytes: number;
}

/** Reads a header. Throws `DATA_LOSS`. */
export function decodeHeader(bytes: Buffer): BlobHeader {
  const codec = bytes.readUInt8(32);
  const kind = kinds[bytes.readUInt8(33)];
  const storedBytes = bytes.readUInt32LE(36);
  const plainBytes = bytes.readUInt32LE(40);
  if (codec > 1 || kind === undefined || plainBytes === 0 || plainBytes > maxBlobBytes || storedBytes > plainBytes) {
    throw damaged("a blob's header is wrong");
  }
  return { hash: bytes.subarray(0, hashBytes), kind, codec: codec === 1 ? "zstd" : "raw", storedBytes, plainBytes };
}

/** The content of a whole blob, held against its hash. Takes at most the memory of the plain size that the header states. Throws `DATA_LOSS`. */
export function decodeBlob(blob: Buffer, expected: { readonly kind: BlobKind; readonly hash: BlobHash }): Buffer {
  const header = decodeHeader(blob);
  const payload = blob.subarray(blobHeaderBytes);
  if (payload.length !== header.storedBytes || header.kind !== expected.kind) {
    throw damaged(`what should be ${expected.kind} '${expected.hash.toString("hex")}' is something else`);
  }
  let content = payload;
  if (header.codec === "zstd") {
    try {
      content = zstdDecompressSync(payload, {
        maxOutputLength: header.plainBytes,
        chunkSize: header.plainBytes + 64,
        params: { [constants.ZSTD_d_windowLogMax]: 20 },
      });
    } catch (error) {
      throw damaged(`${expected.kind} '${expected.hash.toString("hex")}' can't be decompressed`, error);
    }
  }
  if (content.length !== header.plainBytes || !hashOf(content).equals(expected.hash)) {
    throw damaged(`${expected.kind} '${expected.hash.toString("hex")}' has another content`);
  }
  return content;
}
