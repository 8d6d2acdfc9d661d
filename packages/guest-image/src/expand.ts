import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { GuestImageError } from "./guest-image-error.ts";
import { expandLz4Legacy, lz4LegacyMagic } from "./lz4-legacy.ts";

/** More than any kernel or module; a guard against a damaged stream that grows without end. */
const maximumLength = 512 * 1024 * 1024;

export interface ExpandOptions {
  /** Names the data in an error. */
  readonly what: string;
  /** Whether the Linux build appended the expanded length, 4 bytes, as it does in a kernel image. */
  readonly hasLength?: boolean;
  /** Expands xz, which Node.js has no decoder for. */
  readonly expandXz: (data: Buffer) => Promise<Buffer>;
}

/**
 * Expands what the Linux build may have compressed, known by its first bytes: gzip, lz4 (legacy), zstd, xz, or
 * nothing. Rejects with `BAD_ARCHIVE` what is damaged or compressed in another way.
 */
export async function expand(data: Buffer, options: ExpandOptions): Promise<Buffer> {
  const magic = data.length >= 4 ? data.readUInt32LE(0) : 0;
  // A gzip stream ends with that length by itself, and the lz4 decoder knows about it.
  const body = options.hasLength === true ? data.subarray(0, -4) : data;
  try {
    if ((magic & 0xffff) === 0x8b1f) return gunzipSync(data, { maxOutputLength: maximumLength });
    if (magic === 0xfd2fb528) return zstdDecompressSync(body, { maxOutputLength: maximumLength });
    if (magic === 0x587a37fd) return await options.expandXz(body);
  } catch (cause) {
    throw new GuestImageError("BAD_ARCHIVE", `${options.what} could not be expanded.`, { cause });
  }
  if (magic === lz4LegacyMagic) return expandLz4Legacy(data);
  if (isElf(data)) return data;
  const start = data.subarray(0, 4).toString("hex");
  throw new GuestImageError("BAD_ARCHIVE", `${options.what} is compressed in an unknown way (it starts '${start}').`);
}

/** Whether these bytes start an ELF file. */
export function isElf(data: Buffer): boolean {
  return data.length > 64 && data.readUInt32BE(0) === 0x7f454c46;
}
