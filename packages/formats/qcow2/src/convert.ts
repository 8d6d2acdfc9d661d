import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import type { BlockSource } from "./block-source.ts";
import { type CopyOptions, copyBlocks } from "./copy-blocks.ts";
import { copyCompressed } from "./copy-compressed.ts";
import { createImage } from "./create-image.ts";
import { type FileLayer, type ImageFile, nodeFileLayer } from "./file-layer.ts";
import { roundUp } from "./geometry.ts";
import type { ImageFormat } from "./image-format.ts";
import type { NewEncryption } from "./luks-unlock.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import { Qcow2Image } from "./qcow2-image.ts";
import { reservedFiles } from "./reserved-files.ts";
import { unsyncedFiles } from "./unsynced-files.ts";

/** A new file, and how it is to be written. */
export type ConvertTarget =
  | { readonly format: "raw"; readonly path: string }
  | ({
      readonly format: "qcow2";
      readonly path: string;
      /** Stores clusters compressed, by `compression`. Defaults to false. */
      readonly compressed?: boolean;
      /** Encrypts the copy, which then can't be compressed. */
      readonly encryption?: NewEncryption;
    } & ImageFormat);

/** Options of {@link convert}. */
export interface ConvertOptions extends CopyOptions {
  /** Whether the file survives a power loss once this returns. Defaults to true. */
  readonly durable?: boolean;
  /** Defaults to the real file system. */
  readonly fileLayer?: FileLayer;
}

/**
 * Writes the content of a disk into a new file: a qcow2 image with its whole chain flattened, a raw file, a VMDK, or any other disk. What reads as zeroes takes
 * no space. The file appears under its name when it is complete, and is never one that was there; whatever fails or is cancelled leaves nothing.
 * Errors: `ALREADY_EXISTS`, `ABORTED`, `INVALID_ARGUMENT`, `NO_SPACE`, and what the source throws.
 */
export async function convert(source: BlockSource, target: ConvertTarget, options: ConvertOptions = {}): Promise<void> {
  const { durable = true, fileLayer = nodeFileLayer } = options;
  const { path } = target;
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  let made = false;
  try {
    if (target.format === "raw") {
      const file = fileLayer.openSync(temporary, { write: true, create: true });
      made = true;
      await writeRaw(source, file, { ...options, durable });
    } else {
      // A disk of qcow2 is made of whole sectors.
      const virtualSizeBytes = roundUp(source.sizeBytes, 512);
      const { encryption } = target;
      if (encryption && target.compressed) {
        throw new Qcow2Error("INVALID_ARGUMENT", "the format has no encryption for what is compressed");
      }
      await createImage({ ...target, path: temporary, virtualSizeBytes, durable: false, fileLayer });
      made = true;
      // Closing an image syncs it.
      const written = reservedFiles(durable ? fileLayer : unsyncedFiles(fileLayer));
      const open = { lock: false, fileLayer: written, ...(encryption && { passphrase: encryption.passphrase }) };
      await using image = await Qcow2Image.open(temporary, open);
      if (target.compressed) await copyCompressed(padded(source, virtualSizeBytes), image, options);
      else await copyBlocks(source, image, options);
      if (durable) await image.flush();
    }
    fileLayer.publishSync(temporary, path, { durable });
    made = false;
  } catch (error) {
    throw toQcow2Error(error, `cannot write '${path}'`);
  } finally {
    if (made) fileLayer.removeSync(temporary);
  }
}

async function writeRaw(
  source: BlockSource,
  file: ImageFile,
  options: CopyOptions & { readonly durable: boolean },
): Promise<void> {
  try {
    file.truncateSync(source.sizeBytes);
    const target = {
      sizeBytes: source.sizeBytes,
      writeSync: (buffer: Uint8Array, offset: number) => file.writeSync(buffer, offset),
    };
    await copyBlocks(source, target, options);
    if (options.durable) await file.sync();
  } finally {
    file.closeSync();
  }
}

/** A disk with zeroes after its end. */
function padded(source: BlockSource, sizeBytes: number): BlockSource {
  if (source.sizeBytes === sizeBytes) return source;
  const inside = (offset: number, length: number): number => Math.max(0, Math.min(length, source.sizeBytes - offset));
  return {
    sizeBytes,
    async read(buffer, offset) {
      const length = inside(offset, buffer.length);
      await source.read(buffer.subarray(0, length), offset);
      buffer.fill(0, length);
    },
    readSync(buffer, offset) {
      const length = inside(offset, buffer.length);
      source.readSync(buffer.subarray(0, length), offset);
      buffer.fill(0, length);
    },
    map(offset, length) {
      const known = inside(offset, length);
      const rest = { offset: offset + known, length: length - known, kind: "hole", depth: 0 } as const;
      return [...source.map(offset, known), ...(rest.length > 0 ? [rest] : [])];
    },
    close: () => source.close(),
  };
}
