import { resolve } from "node:path";
import type { BlockSource } from "@vdc-os/qcow2";
import type { DiskFormat } from "./recognise-format.ts";

/** Options of {@link openDisk}. */
export interface OpenDiskOptions {
  readonly format: DiskFormat;
  /** The folder in which files lie that a qcow2 image may name: backing files and data files. Without it none is opened. */
  readonly filesIn?: string | undefined;
  readonly cwd: string;
}

/** Opens a disk image for reading. The caller closes it. */
export async function openDisk(path: string, options: OpenDiskOptions): Promise<BlockSource> {
  const { format, filesIn, cwd } = options;
  // Loaded here, so that commands that need none of it answer at once.
  const { backingFolder, dataFileFolder, openRawSource, Qcow2Image } = await import("@vdc-os/qcow2");
  if (format === "raw") return openRawSource(path);
  if (format === "qcow2") {
    const folder = filesIn === undefined ? undefined : resolve(cwd, filesIn);
    return Qcow2Image.open(path, {
      readOnly: true,
      ...(folder === undefined
        ? {}
        : { resolveBacking: backingFolder(folder), resolveDataFile: dataFileFolder(folder) }),
    });
  }
  const { VmdkDisk } = await import("@vdc-os/vmdk");
  return VmdkDisk.open(path);
}
