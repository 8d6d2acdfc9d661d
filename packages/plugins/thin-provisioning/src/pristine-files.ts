import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createImageSync, type FileLayer } from "@vdc-os/qcow2";
import { imageName, layerName, type PoolLayout, recordName } from "./pool-layout.ts";
import { clusterBytesOf, formatRecord, type VolumeRecord } from "./volume-record.ts";

// The files of a volume that nobody has used yet: all of them follow from its record.

/** What a new image has that is not zero. */
interface ImageContent {
  readonly sizeBytes: number;
  readonly parts: readonly { readonly position: number; readonly bytes: Buffer }[];
}

/** The contents of the last images, by what they were made of: clones of one parent are all the same. */
const contents = new Map<string, ImageContent>();
const maxContents = 64;

/**
 * Sees to it that a volume's files are there: those that are missing, or that a crash has torn, are made. An image that somebody has written meanwhile is left
 * as it is. Nothing is durable yet.
 */
export function ensurePristineFiles(layout: PoolLayout, record: VolumeRecord): void {
  const { volumeId } = record;
  const text = Buffer.from(formatRecord(record));
  if (isImageWhole(layout.image(volumeId), record)) {
    if (!hasBytes(layout.record(volumeId), text)) replaceFile(layout.record(volumeId), text);
    return;
  }
  const [folder, incoming] = [layout.volume(volumeId), layout.incoming(volumeId)];
  const { sizeBytes, parts } = contentOf(record);
  rmSync(incoming, { recursive: true, force: true });
  mkdirSync(incoming, { mode: 0o700 });
  try {
    writeFile(join(incoming, imageName), sizeBytes, parts);
    writeFile(join(incoming, recordName), text.length, [{ position: 0, bytes: text }]);
    rmSync(folder, { recursive: true, force: true });
    renameSync(incoming, folder);
  } catch (error) {
    rmSync(incoming, { recursive: true, force: true });
    throw error;
  }
}

/** The image's content. It must not depend on anything but the record. */
function contentOf(record: VolumeRecord): ImageContent {
  const { capacityBytes, parentVolumeId, parentSnapshotId } = record;
  const name = parentSnapshotId === undefined ? imageName : layerName(parentSnapshotId);
  const backing = parentVolumeId === undefined ? undefined : `../${parentVolumeId}/${name}`;
  const clusterSizeBytes = clusterBytesOf(record);
  const key = JSON.stringify([capacityBytes, clusterSizeBytes, backing]);
  const known = contents.get(key);
  if (known !== undefined) return known;
  const content = drawImage((fileLayer) =>
    createImageSync({
      path: imageName,
      virtualSizeBytes: capacityBytes,
      clusterSizeBytes,
      ...(backing === undefined ? {} : { backing: { path: backing, format: "qcow2" } }),
      durable: false,
      isHidden: true,
      fileLayer,
    }),
  );
  const [oldest] = contents.keys();
  if (contents.size >= maxContents && oldest !== undefined) contents.delete(oldest);
  contents.set(key, content);
  return content;
}

/** Has an image made, and keeps what was written. */
function drawImage(make: (layer: FileLayer) => void): ImageContent {
  const parts: { position: number; bytes: Buffer }[] = [];
  let sizeBytes = 0;
  make({
    openSync: (path) => ({
      path,
      status: () => ({ sizeBytes, diskBytes: 0, identity: path }),
      readSync: () => 0,
      writeSync: (buffer, position) => {
        parts.push({ position, bytes: Buffer.from(buffer) });
        sizeBytes = Math.max(sizeBytes, position + buffer.length);
      },
      truncateSync: (size) => {
        sizeBytes = size;
      },
      syncSync: () => {},
      sync: async () => {},
      closeSync: () => {},
    }),
    publishSync: () => {},
    removeSync: () => {},
  });
  return { sizeBytes, parts };
}

function writeFile(path: string, sizeBytes: number, parts: ImageContent["parts"]): void {
  const fd = openSync(path, "wx", 0o600);
  try {
    let end = 0;
    for (const { position, bytes } of parts) {
      for (let done = 0; done < bytes.length; )
        done += writeSync(fd, bytes, done, bytes.length - done, position + done);
      end = Math.max(end, position + bytes.length);
    }
    if (end < sizeBytes) ftruncateSync(fd, sizeBytes);
  } finally {
    closeSync(fd);
  }
}

function replaceFile(path: string, bytes: Buffer): void {
  const temporary = `${path}.${process.pid}-0.tmp`;
  rmSync(temporary, { force: true });
  writeFile(temporary, bytes.length, [{ position: 0, bytes }]);
  renameSync(temporary, path);
}

function hasBytes(path: string, bytes: Buffer): boolean {
  try {
    return readFileSync(path).equals(bytes);
  } catch {
    return false;
  }
}

/** Whether an image is there, as it was made or as somebody has left it who wrote it. */
function isImageWhole(path: string, record: VolumeRecord): boolean {
  const { sizeBytes, parts } = contentOf(record);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const isUntouched = parts.every(({ position, bytes }) => readAt(fd, position, bytes.length).equals(bytes));
    if (isUntouched && size === sizeBytes) return true;
    return (
      isImageOfSize(readAt(fd, 0, 32), record.capacityBytes) && (size > sizeBytes || hasOtherBytes(fd, size, parts))
    );
  } finally {
    closeSync(fd);
  }
}

/** Whether this begins a qcow2 image of a size (QEMU's docs/interop/qcow2.txt, "Header": magic, and the virtual size at byte 24). */
function isImageOfSize(header: Buffer, capacityBytes: number): boolean {
  return (
    header.subarray(0, 4).toString("latin1") === "QFI\u00fb" && header.readBigUInt64BE(24) === BigInt(capacityBytes)
  );
}

/** Whether a file has anything but zeroes and what belongs there: a torn write leaves either, sector by sector. */
function hasOtherBytes(fd: number, size: number, parts: ImageContent["parts"]): boolean {
  const expected = Buffer.alloc(size);
  for (const { position, bytes } of parts) if (position < size) bytes.copy(expected, position);
  const found = readAt(fd, 0, size);
  const zeroes = Buffer.alloc(512);
  for (let at = 0; at < size; at += 512) {
    const sector = found.subarray(at, at + 512);
    const isOurs = sector.equals(expected.subarray(at, at + sector.length));
    if (!isOurs && !sector.equals(zeroes.subarray(0, sector.length))) return true;
  }
  return false;
}

/** What a file has somewhere; zeroes past its end. */
function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return bytes;
}
