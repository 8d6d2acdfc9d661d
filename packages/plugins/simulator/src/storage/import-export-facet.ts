import { type FileHandle, open, rm } from "node:fs/promises";
import { type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import type { ImageFile, ImportExportFacet } from "@vdc-os/core/storage/v1";
import { blockBytes, SparseLayer } from "./sparse-layer.ts";
import type { VolumePool } from "./volume-pool.ts";

/** How much is moved at once, in bytes. */
const pieceBytes = 64 * blockBytes;

/** Raw files to volumes and back. Holes stay holes. */
export function importExportFacet(pool: VolumePool): ImportExportFacet {
  return {
    async importVolume({ name, source, capacityBytes, owner }, context) {
      mustBeRaw(source);
      const origin = { operation: "importVolume", spec: { source, capacityBytes, owner } };
      const repeated = pool.repeated(name, origin);
      if (repeated !== undefined) return pool.toVolume(repeated);
      const file = await openFile(source.path, "r");
      try {
        const { size } = await file.stat();
        const capacity = capacityBytes ?? size;
        if (capacity < size)
          throw new VdcError("OUT_OF_RANGE", `image '${source.path}' has ${size} bytes: ${capacity} would lose some`);
        const layer = new SparseLayer();
        const buffer = Buffer.alloc(pieceBytes);
        for (let at = 0; at < size; ) {
          mustGoOn(context);
          const { bytesRead } = await file.read(buffer, 0, pieceBytes, at);
          if (bytesRead === 0)
            throw new VdcError("DATA_LOSS", `image '${source.path}' ended at ${at} of ${size} bytes`);
          for (let within = 0; within < bytesRead; within += blockBytes) {
            const block = buffer.subarray(within, Math.min(within + blockBytes, bytesRead));
            if (block.some((byte) => byte !== 0)) layer.write(at + within, block);
          }
          at += bytesRead;
          context.progress({ fraction: at / size });
        }
        // Another call may have made it while this one was reading.
        const record =
          pool.repeated(name, origin) ?? pool.add({ name, owner }, { origin, capacityBytes: capacity, layer });
        return pool.toVolume(record);
      } finally {
        await file.close();
      }
    },
    async exportVolume({ volumeId, destination }, context) {
      mustBeRaw(destination);
      const { layer, capacityBytes } = pool.volume(volumeId);
      const content = layer.flattened();
      const file = await openFile(destination.path, "wx");
      try {
        await file.truncate(capacityBytes);
        const numbers = content.numbers();
        for (const [index, number] of numbers.entries()) {
          mustGoOn(context);
          const offset = number * blockBytes;
          const length = Math.min(blockBytes, capacityBytes - offset);
          if (length > 0) await file.write(content.read(offset, length), 0, length, offset);
          context.progress({ fraction: (index + 1) / numbers.length });
        }
      } catch (error) {
        // A file that is not whole must not pass for one that is.
        await rm(destination.path, { force: true });
        throw error;
      } finally {
        await file.close();
      }
    },
  };
}

function mustGoOn(context: OperationContext): void {
  if (context.signal.aborted) throw toVdcError(context.signal.reason);
}

function mustBeRaw({ format }: ImageFile): void {
  if (format !== "raw")
    throw new VdcError("INVALID_ARGUMENT", `simulated storage reads and writes 'raw' files, not '${format}'`);
}

async function openFile(path: string, flags: "r" | "wx"): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw new VdcError("ALREADY_EXISTS", `file '${path}' exists: an export overwrites nothing`);
    if (code === "ENOENT") throw new VdcError("NOT_FOUND", `there is no file '${path}'`);
    throw new VdcError(
      flags === "r" ? "INVALID_ARGUMENT" : "PERMISSION_DENIED",
      `file '${path}' can't be opened (${code})`,
      { cause: error },
    );
  }
}
