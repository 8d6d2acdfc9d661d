import { rm, truncate } from "node:fs/promises";
import { VdcError } from "@vdc-os/core";
import type { ClonesFacet } from "@vdc-os/core/storage/v1";
import { copyDisk } from "./copy-disk.ts";
import { shareBlocks } from "./disk-folder.ts";
import type { ReflinkPool } from "./reflink-pool.ts";
import { assertGoesOn } from "./preconditions.ts";

/** Clones that share their blocks through the file system, and full copies. The source can be written on, and deleted. */
export function clonesFacet(pool: ReflinkPool): ClonesFacet {
  return {
    async cloneVolume({ name, source, want, capacityBytes: asked, owner }, context) {
      assertGoesOn(context);
      const from = source.kind === "volume" ? pool.volume(source.volumeId) : pool.snapshot(source.snapshotId);
      const disk =
        source.kind === "volume" ? pool.volumes.disk(source.volumeId) : pool.snapshots.disk(source.snapshotId);
      const capacityBytes = asked ?? from.capacityBytes;
      if (capacityBytes < from.capacityBytes) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `the source has ${from.capacityBytes} bytes: a clone of ${capacityBytes} would lose some`,
        );
      }
      const request = JSON.stringify(["clone", source, want, asked, owner]);
      const isFull = want === "full";
      const known = pool.volumes.all().some((volume) => volume.name === name);
      if (source.kind === "volume" && !isFull && !known) await pool.noteShared(source.volumeId);
      const made = await pool.makeVolume(
        { name, capacityBytes, owner, source, request, sharedBytes: 0 },
        async (path) => {
          if (isFull) {
            // What is copied must not change meanwhile: it is copied from a clone of that moment.
            const moment = `${path}.moment`;
            await shareBlocks(disk, moment);
            await copyDisk(moment, path, context);
            await rm(moment);
          } else {
            await shareBlocks(disk, path);
          }
          if (capacityBytes > from.capacityBytes) await truncate(path, capacityBytes);
        },
        context,
      );
      if (!isFull && made.sharedBytes === 0) await pool.noteShared(made.volumeId);
      const volume = pool.view(pool.volume(made.volumeId));
      return {
        volume,
        kind: isFull ? "full" : "reflink",
        sharedBytes: isFull ? 0 : volume.allocatedBytes - volume.exclusiveBytes,
        depth: 1,
      };
    },
  };
}
