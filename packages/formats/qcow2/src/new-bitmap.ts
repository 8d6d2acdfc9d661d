import {
  MAX_BITMAP_BYTES,
  MAX_BITMAP_NAME_BYTES,
  MAX_GRANULARITY_BITS,
  MIN_GRANULARITY_BITS,
} from "./bitmap-directory.ts";
import type { Header } from "./header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

export interface CreateBitmapOptions {
  /** What one bit covers: a power of two from 512 bytes to 2 GiB. Defaults to 65536. */
  readonly granularityBytes?: number;
  /** Defaults to true. */
  readonly enabled?: boolean;
}

/** Holds a new bitmap against the format's limits, and gives its granularity as a power of two. Errors: `INVALID_ARGUMENT`, `TOO_LARGE`, `UNSUPPORTED_FEATURE`. */
export function checkNewBitmap(path: string, header: Header, name: string, options: CreateBitmapOptions): number {
  const { granularityBytes = 65536 } = options;
  const granularityBits = Math.log2(granularityBytes);
  const nameBytes = Buffer.byteLength(name);
  if (
    !Number.isInteger(granularityBits) ||
    granularityBits < MIN_GRANULARITY_BITS ||
    granularityBits > MAX_GRANULARITY_BITS
  ) {
    throw new Qcow2Error("INVALID_ARGUMENT", `granularity ${granularityBytes} is not a power of two from 512 to 2 GiB`);
  }
  if (nameBytes === 0 || nameBytes > MAX_BITMAP_NAME_BYTES || name.includes("\0")) {
    throw new Qcow2Error("INVALID_ARGUMENT", `a bitmap's name has 1 to ${MAX_BITMAP_NAME_BYTES} bytes`);
  }
  if (header.version !== 3) {
    throw new Qcow2Error("UNSUPPORTED_FEATURE", `'${path}' is of version 2, which has no bitmaps`);
  }
  if (header.virtualSizeBytes === 0) {
    throw new Qcow2Error("INVALID_ARGUMENT", `'${path}' has no bytes to keep a bitmap of`);
  }
  if (Math.ceil(header.virtualSizeBytes / granularityBytes / 8) > MAX_BITMAP_BYTES) {
    throw new Qcow2Error("TOO_LARGE", `a bitmap of granularity ${granularityBytes} is too large for this disk`);
  }
  return granularityBits;
}
