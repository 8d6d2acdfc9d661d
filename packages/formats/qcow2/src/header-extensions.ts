import { readUint64, writeUint64 } from "./entry.ts";
import { EXTENSION_FEATURE_NAMES } from "./features.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Header, HeaderExtension } from "./header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** A disk writes a sector whole or not at all. */
const SECTOR_BYTES = 512;

export interface WriteExtensionsOptions {
  /** Changes the fixed part of the header, in the same write. */
  readonly patch: (fixed: Buffer) => void;
  readonly sync: () => void;
}

/**
 * Replaces the header's extensions, durably, so that a crash leaves the old ones or the new ones: the first sector is what switches, and
 * whatever lies behind it is written before, where the old header points to nothing. The backing name moves when it has to; the table of feature
 * names, which is a courtesy to readers, gives way when space is short. Errors: `TOO_LARGE` when there is no room.
 */
export function writeHeaderExtensions(
  file: ImageFile,
  header: Header,
  extensions: readonly HeaderExtension[],
  options: WriteExtensionsOptions,
): void {
  const { headerLength } = header;
  const old = Buffer.alloc(header.geometry.clusterSize);
  file.readSync(old, 0);
  const oldNameOffset = readUint64(old, 8) ?? 0;
  const name =
    oldNameOffset === 0 ? Buffer.alloc(0) : old.subarray(oldNameOffset, oldNameOffset + old.readUInt32BE(16));
  const oldExtensionsEnd = headerLength + encodeExtensions(header.extensions).length;
  const oldEnd = Math.max(oldExtensionsEnd, oldNameOffset + name.length);
  const essential = extensions.filter((extension) => extension.type !== EXTENSION_FEATURE_NAMES);
  for (const list of [extensions, essential]) {
    const bytes = encodeExtensions(list);
    const follows = headerLength + bytes.length;
    const places = [
      { at: follows, isFree: follows + name.length <= SECTOR_BYTES || oldEnd <= SECTOR_BYTES },
      { at: Math.ceil(oldEnd / 8) * 8, isFree: oldEnd >= SECTOR_BYTES && follows <= SECTOR_BYTES },
      {
        at: SECTOR_BYTES,
        isFree:
          follows <= SECTOR_BYTES && oldExtensionsEnd <= SECTOR_BYTES && SECTOR_BYTES + name.length <= oldNameOffset,
      },
    ];
    const place = places.find(({ at, isFree }) => isFree && at + name.length <= old.length);
    if (place === undefined) continue;
    const image = Buffer.from(old);
    bytes.copy(image, headerLength);
    name.copy(image, place.at);
    image.fill(0, follows, Math.max(follows, Math.min(SECTOR_BYTES, place.at)));
    if (name.length > 0) writeUint64(image, place.at, 8);
    options.patch(image);
    const end = Math.max(follows, place.at + name.length);
    if (end > SECTOR_BYTES) {
      const from = Math.max(SECTOR_BYTES, place.at > follows ? place.at : SECTOR_BYTES);
      file.writeSync(image.subarray(from, end), from);
      options.sync();
    }
    file.writeSync(image.subarray(0, Math.min(SECTOR_BYTES, image.length)), 0);
    options.sync();
    return;
  }
  throw new Qcow2Error("TOO_LARGE", `the first cluster of '${file.path}' has no room for another header extension`);
}

function encodeExtensions(list: readonly HeaderExtension[]): Buffer {
  const parts = list.map(({ type, data }) => {
    const part = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8);
    part.writeUInt32BE(type, 0);
    part.writeUInt32BE(data.length, 4);
    data.copy(part, 8);
    return part;
  });
  return Buffer.concat([...parts, Buffer.alloc(8)]);
}
