import { constants } from "node:fs";
import { link, open, rm, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { VdcError } from "@vdc-os/core";
import { syncDirectory } from "@vdc-os/core/local";
import type { ImageFile, ImportExportFacet } from "@vdc-os/core/storage/v1";
import { copyDisk } from "./copy-disk.ts";
import type { ReflinkPool } from "./reflink-pool.ts";
import { assertDetached, assertGoesOn } from "./preconditions.ts";

/** Raw files come in and go out by copying. */
export function importExportFacet(pool: ReflinkPool): ImportExportFacet {
  return {
    async importVolume({ name, source, capacityBytes: asked, owner }, context) {
      assertGoesOn(context);
      assertRaw(source);
      const size = await sizeOf(source.path);
      const capacityBytes = asked ?? size;
      if (capacityBytes < size) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `'${source.path}' has ${size} bytes: a volume of ${capacityBytes} would lose some`,
        );
      }
      const request = JSON.stringify(["import", source, asked, owner]);
      const made = await pool.makeVolume(
        { name, capacityBytes, owner, request, sharedBytes: 0 },
        async (path) => {
          await copyDisk(source.path, path, context);
          if (capacityBytes > size) await truncate(path, capacityBytes);
        },
        context,
      );
      return pool.view(made);
    },
    async exportVolume({ volumeId, destination }, context) {
      assertGoesOn(context);
      assertRaw(destination);
      await pool.alone(volumeId, "export", async () => {
        assertDetached(pool.volume(volumeId));
        const temporary = `${destination.path}.${context.random.uuid()}.tmp`;
        try {
          await copyDisk(pool.volumes.disk(volumeId), temporary, context);
          {
            await using file = await open(temporary, "r");
            await file.sync();
          }
          // A link fails where the name is taken; renaming would take it.
          await link(temporary, destination.path);
          await syncDirectory(dirname(destination.path));
        } catch (error) {
          const { code } = error as { readonly code?: string };
          if (code === "EEXIST") throw new VdcError("ALREADY_EXISTS", `there is a file '${destination.path}'`);
          if (code === "ENOSPC") throw new VdcError("RESOURCE_EXHAUSTED", "no space is left", { cause: error });
          if (code === "EACCES" || code === "ENOENT") {
            throw new VdcError("PERMISSION_DENIED", `'${destination.path}' can't be written`, { cause: error });
          }
          throw error;
        } finally {
          await rm(temporary, { force: true });
        }
      });
    },
  };
}

function assertRaw({ format, path }: ImageFile): void {
  if (format === "raw") return;
  throw new VdcError("INVALID_ARGUMENT", `'${path}' is of format '${format}': raw files are taken`);
}

/** Refuses what is no regular file: a link may lead elsewhere, a FIFO hangs, a device is no image. */
async function sizeOf(path: string): Promise<number> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = await file.stat();
    if (status.isFile() && status.size > 0) return status.size;
  } catch (error) {
    throw new VdcError("NOT_FOUND", `'${path}' can't be read`, { cause: error });
  }
  throw new VdcError("INVALID_ARGUMENT", `'${path}' is no regular file with content`);
}
