import { entryOffset, readUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { EXTENSION_BITMAPS, type Header, hasFeature } from "./header.ts";

/** QEMU's caps (block/qcow2-bitmap.c). */
const MAX_BITMAPS = 65535;
const MAX_DIRECTORY_BYTES: number = 64 * 1024 * 1024;
const MAX_TABLE_ENTRIES: number = 32 * 1024 * 1024;

/** Reports the clusters that persistent dirty bitmaps occupy. Stops at the first impossible field: `add` then saw less, never more. */
export function countBitmaps(file: ImageFile, header: Header, add: (offset: number, bytes: number) => boolean): void {
  const extension = header.extensions.find((candidate) => candidate.type === EXTENSION_BITMAPS)?.data;
  // Without the autoclear bit a writer that knows no bitmaps was here, and the extension means nothing.
  if (extension === undefined || extension.length < 24 || !hasFeature(header, "autoclear", 0)) return;
  const { clusterSize } = header.geometry;
  const count = extension.readUInt32BE(0);
  const bytes = readUint64(extension, 8);
  const offset = readUint64(extension, 16);
  if (count > MAX_BITMAPS || bytes === undefined || bytes > MAX_DIRECTORY_BYTES || offset === undefined) return;
  if (!add(offset, bytes)) return;
  const directory = Buffer.alloc(bytes);
  file.readSync(directory, offset);
  for (let index = 0, at = 0; index < count && at + 24 <= bytes; index++) {
    const tableOffset = readUint64(directory, at);
    const entries = directory.readUInt32BE(at + 8);
    if (tableOffset === undefined || entries > MAX_TABLE_ENTRIES || !add(tableOffset, entries * 8)) return;
    const table = Buffer.alloc(entries * 8);
    file.readSync(table, tableOffset);
    for (let entry = 0; entry < table.length; entry += 8) {
      const data = entryOffset(table, entry);
      if (data !== undefined && data !== 0) add(data, clusterSize);
    }
    const variable = directory.readUInt16BE(at + 18) + directory.readUInt32BE(at + 20);
    at += Math.ceil((24 + variable) / 8) * 8;
  }
}
