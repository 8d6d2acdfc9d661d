import { type Extent, pushExtent } from "./block-source.ts";
import { decompressCluster } from "./compression.ts";
import type { ImageCore } from "./image-core.ts";
import type { Run } from "./l2-reader.ts";
import { readEncrypted } from "./luks-data.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** Throws `OUT_OF_RANGE` unless the range lies inside the disk. */
export function assertRange(core: ImageCore, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new Qcow2Error("INVALID_ARGUMENT", `range ${offset}+${length} is not a range of whole bytes`);
  }
  if (offset + length > core.virtualSizeBytes) {
    throw new Qcow2Error(
      "OUT_OF_RANGE",
      `range ${offset}+${length} leaves '${core.file.path}', which has ${core.virtualSizeBytes} bytes`,
    );
  }
}

/** Fills `buffer` from the chain below the image; what no layer holds is zeros. */
export function readBacking(core: ImageCore, buffer: Uint8Array, offset: number): void {
  const inside = core.backing ? Math.max(0, Math.min(buffer.length, core.backing.sizeBytes - offset)) : 0;
  if (inside > 0) core.backing?.readSync(inside === buffer.length ? buffer : buffer.subarray(0, inside), offset);
  if (inside < buffer.length) buffer.fill(0, inside);
}

/** Fills `buffer` with the bytes that a run of the same length maps. */
export function readRun(core: ImageCore, run: Run, buffer: Uint8Array, offset: number): void {
  switch (run.kind) {
    case "data": {
      const { data: file, cipher } = core;
      const count =
        cipher === undefined
          ? file.readSync(buffer, run.hostOffset)
          : readEncrypted({ file, cipher }, buffer, run.hostOffset);
      // A cluster may end past the end of the file: the rest was never written.
      if (count < buffer.length) buffer.fill(0, count);
      break;
    }
    case "compressed":
      buffer.set(
        decompress(core, run)
          .subarray(offset % core.geometry.clusterSize)
          .subarray(0, buffer.length),
      );
      break;
    case "zero":
      buffer.fill(0);
      break;
    case "unallocated":
      readBacking(core, buffer, offset);
      break;
  }
}

export function readImage(core: ImageCore, buffer: Uint8Array, offset: number): void {
  for (let done = 0; done < buffer.length; ) {
    const run = core.mapping.lookup(offset + done, buffer.length - done);
    readRun(core, run, buffer.subarray(done, done + run.length), offset + done);
    done += run.length;
  }
}

function decompress(core: ImageCore, run: Run): Buffer {
  if (core.decompressed?.hostOffset === run.hostOffset) return core.decompressed.data;
  const { clusterSize } = core.geometry;
  const fileSize = core.length.bytes;
  if (run.hostOffset >= fileSize) {
    throw new Qcow2Error("CORRUPT", `'${core.file.path}': compressed data at ${run.hostOffset} lies outside the file`);
  }
  // The size field counts whole sectors, so the last one may pass the end of the file.
  const packed = Buffer.alloc(Math.min(run.hostLength, fileSize - run.hostOffset));
  core.file.readSync(packed, run.hostOffset);
  let data: Buffer;
  try {
    data = decompressCluster(packed, core.header.compression, clusterSize);
  } catch (error) {
    throw new Qcow2Error("CORRUPT", `'${core.file.path}': the compressed cluster at ${run.hostOffset} is damaged`, {
      cause: error,
    });
  }
  if (data.length !== clusterSize) {
    throw new Qcow2Error("CORRUPT", `'${core.file.path}': the compressed cluster at ${run.hostOffset} is too short`);
  }
  core.decompressed = { hostOffset: run.hostOffset, data };
  return data;
}

/** The extents of a range; what the image does not hold is asked of its backing, one level deeper. */
export function mapImage(core: ImageCore, offset: number, length: number): Extent[] {
  const extents: Extent[] = [];
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const run = core.mapping.lookup(at, end - at);
    if (run.kind !== "unallocated") {
      pushExtent(extents, { offset: at, length: run.length, kind: run.kind === "zero" ? "zero" : "data", depth: 0 });
    } else {
      const inside = core.backing ? Math.max(0, Math.min(run.length, core.backing.sizeBytes - at)) : 0;
      if (core.backing && inside > 0) {
        for (const below of core.backing.map(at, inside)) {
          // A hole belongs to no layer, so it merges whatever the depth at which the search ended.
          pushExtent(extents, { ...below, depth: below.kind === "hole" ? 0 : below.depth + 1 });
        }
      }
      pushExtent(extents, { offset: at + inside, length: run.length - inside, kind: "hole", depth: 0 });
    }
    at += run.length;
  }
  return extents;
}
