import { open } from "node:fs/promises";
import { type TarFile, writeTarArchive } from "./tar-archive.ts";

const blockSize = 4096;

/** Where, in bytes, the guest writes its marker block: far behind the content, so that a thin disk visibly grows. */
export const dataDiskMarkerOffset: number = 8192 * blockSize;

/** A disk must be larger than this, in bytes, for the guest to write its marker block. */
export const dataDiskMinimumLengthForMarker: number = 81920 * 512;

export interface DataDiskOptions {
  /** Length of the disk in bytes. */
  readonly length: number;
  /** A word in the label that tells disks apart. */
  readonly name: string;
  /** What the guest unpacks into its root folder; `www/` is what it serves. */
  readonly files: Iterable<TarFile>;
}

/**
 * Writes a raw, sparse data disk: a block with the label `vdc-data-disk <name> tar=<blocks>`, then a tar archive of
 * that many blocks of 4096 bytes. The guest needs no file system module to read it.
 */
export async function writeDataDisk(path: string, { length, name, files }: DataDiskOptions): Promise<void> {
  if (!/^[\w.-]{1,64}$/.test(name)) throw new RangeError(`The disk name '${name}' is not one plain word.`);
  const archive = writeTarArchive(files);
  const blocks = Math.ceil(archive.length / blockSize);
  const label = Buffer.alloc(blockSize);
  label.write(`vdc-data-disk ${name} tar=${blocks}\n`);
  if ((blocks + 1) * blockSize > Math.min(length, dataDiskMarkerOffset)) {
    throw new RangeError(`The files need ${(blocks + 1) * blockSize} bytes, more than the data disk has room for.`);
  }
  const file = await open(path, "w");
  try {
    await file.writeFile(Buffer.concat([label, archive]));
    await file.truncate(length);
    await file.sync();
  } finally {
    await file.close();
  }
}
