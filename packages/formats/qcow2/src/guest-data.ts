import type { Allocation } from "./allocator.ts";
import { type ImageCore, type ImageWriter, markCorrupt } from "./image-core.ts";
import { writeEncrypted } from "./luks-data.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import { readImage } from "./read-path.ts";

/** Writes guest data to the host. Errors: `CORRUPT` where a table maps a guest cluster onto the image's own metadata. */
export function writeData(core: ImageCore, writer: ImageWriter, data: Uint8Array, hostOffset: number): void {
  if (core.data !== core.file) {
    writeExternal(core, writer, data, hostOffset);
    return;
  }
  const { clusterSize } = core.geometry;
  for (let at = hostOffset - (hostOffset % clusterSize); at < hostOffset + data.length; at += clusterSize) {
    const owner = writer.guard.ownerOf(at);
    if (owner !== undefined) {
      const text = `'${core.file.path}': a guest cluster is mapped onto the ${owner} at ${at}`;
      throw markCorrupt(core, new Qcow2Error("CORRUPT", text));
    }
  }
  writer.barrier.noteDataWritten();
  try {
    if (core.cipher === undefined) core.file.writeSync(data, hostOffset);
    else writeEncrypted({ file: core.file, cipher: core.cipher }, data, hostOffset);
  } catch (error) {
    throw toQcow2Error(error, `cannot write '${core.file.path}'`);
  }
}

/** An external data file is never longer than the disk: it may be a raw disk by itself. */
function writeExternal(core: ImageCore, writer: ImageWriter, data: Uint8Array, offset: number): void {
  const inside = Math.max(0, Math.min(data.length, core.virtualSizeBytes - offset));
  writer.barrier.noteDataWritten();
  try {
    core.data.writeSync(data.subarray(0, inside), offset);
  } catch (error) {
    throw toQcow2Error(error, `cannot write '${core.data.path}'`);
  }
}

/**
 * Up to `maximum` neighbouring clusters for the guest cluster at `offset`. In an external data file each has its place already, whose content
 * is unknown.
 */
export function allocateData(core: ImageCore, writer: ImageWriter, offset: number, maximum: number): Allocation {
  if (core.data !== core.file) return { offset, clusters: maximum, zeroed: false };
  try {
    const allocation = writer.allocator.allocate(maximum);
    // Zeroes in the file are none once they are decrypted.
    return core.cipher === undefined ? allocation : { ...allocation, zeroed: false };
  } catch (error) {
    throw toQcow2Error(error, `cannot allocate in '${core.file.path}'`);
  }
}

/** Gives back what `allocateData` gave, before anything pointed to it. */
export function releaseData(core: ImageCore, writer: ImageWriter, allocation: Allocation): void {
  if (core.data === core.file) writer.allocator.release(allocation);
}

/** Whether no layer below holds data in a range, so that there is nothing to copy up. */
export function backingIsZero(core: ImageCore, offset: number, length: number): boolean {
  const { backing } = core;
  if (backing === undefined || backing.sizeBytes <= offset) return true;
  const inside = Math.min(length, backing.sizeBytes - offset);
  return backing.map(offset, inside).every((extent) => extent.kind !== "data");
}

/** The present content of a part of a cluster. Past the end of the disk it is zeros, whatever lies below. */
export function fillOld(core: ImageCore, target: Buffer, offset: number, isZero: boolean): void {
  const inside = isZero ? 0 : Math.max(0, Math.min(target.length, core.virtualSizeBytes - offset));
  if (inside > 0) readImage(core, target.subarray(0, inside), offset);
  target.fill(0, inside);
}
