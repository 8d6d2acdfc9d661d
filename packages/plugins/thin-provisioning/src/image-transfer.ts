import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { link, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type OperationContext, VdcError } from "@vdc-os/core";
import type { ImageFile, ImportExportFacet, ImportVolume, Volume } from "@vdc-os/core/storage/v1";
import { syncDirectory } from "@vdc-os/core/local";
import {
  type BlockSource,
  type BlockTarget,
  copyBlocks,
  createImage,
  inspect,
  openRawSource,
  Qcow2Image,
} from "@vdc-os/qcow2";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { assertVolumeSize } from "./create-request.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import { volumeOf } from "./volume-of.ts";

/**
 * Facet `importExport`, for `raw` and `qcow2`. An image is read by the format that the caller states, never by its content, and only
 * after its header was inspected: nothing that an image names is ever opened.
 */
export class ImageTransfer implements ImportExportFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async importVolume(input: ImportVolume, context: OperationContext): Promise<Volume> {
    const pool = this.#pool;
    const { name, source, owner } = input;
    assertFormat(source);
    assertNotCancelled(context);
    try {
      const entry = await pool.catalog.create({
        volumeId: pool.random.uuid(),
        name,
        createdAt: pool.clock.now(),
        request: {
          kind: "import",
          imagePath: source.path,
          imageFormat: source.format,
          capacityBytes: input.capacityBytes,
          owner,
          parameters: {},
        },
        measure: async () => {
          const imageBytes = await imageSizeOf(source);
          const capacityBytes = input.capacityBytes ?? imageBytes;
          assertVolumeSize(capacityBytes);
          if (capacityBytes < imageBytes) {
            throw new VdcError(
              "OUT_OF_RANGE",
              `'${source.path}' has ${imageBytes} bytes: ${capacityBytes} is too small`,
              {
                details: { imageBytes, capacityBytes },
              },
            );
          }
          pool.assertCanPromise(capacityBytes);
          return capacityBytes;
        },
        encrypt: () => pool.keys.forNewVolume(undefined, undefined, context),
        write: async (path, virtualSizeBytes, encryption) => {
          await createImage({ path, virtualSizeBytes, durable: false, ...(encryption && { encryption }) });
          const passphrase = encryption && { passphrase: encryption.passphrase };
          await using target = await Qcow2Image.open(path, { lock: false, ...passphrase });
          const disk = await openImage(source);
          try {
            await copyBlocks(disk, target, copyOptions(context, `reading '${source.path}'`));
          } finally {
            await disk.close();
          }
          await target.flush();
        },
      });
      return volumeOf(pool, entry);
    } catch (error) {
      throw storageFailure(error, `importing '${source.path}'`);
    }
  }

  async exportVolume(
    { volumeId, destination }: Parameters<ImportExportFacet["exportVolume"]>[0],
    context: OperationContext,
  ): Promise<void> {
    const { catalog, images } = this.#pool;
    const entry = catalog.get(volumeId);
    const { name, attachment } = entry.record;
    assertFormat(destination);
    assertNotCancelled(context);
    await entry.change(["content"], "export", async () => {
      if (attachment?.access === "readWrite" || entry.changeIn("attachment") !== undefined) {
        throw new VdcError("ABORTED", `volume '${name}' is attached for writing: its content is not one moment's`, {
          reason: "VDC_VOLUME_ATTACHED",
          retryable: false,
        });
      }
      if (statSync(destination.path, { throwIfNoEntry: false }) !== undefined)
        throw destinationExists(destination.path);
      const temporary = `${destination.path}.${randomBytes(6).toString("hex")}.tmp`;
      try {
        await using image = await images.open(entry, { readOnly: true }, context);
        const options = copyOptions(context, `writing '${destination.path}'`);
        if (destination.format === "raw") await writeRaw(temporary, image, options);
        else await writeQcow2(temporary, image, options);
        await link(temporary, destination.path);
        await syncDirectory(dirname(destination.path));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EEXIST") throw destinationExists(destination.path);
        if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
          throw new VdcError("PERMISSION_DENIED", `'${destination.path}' can't be written`, { cause: error });
        }
        throw storageFailure(error, `exporting volume '${name}'`);
      } finally {
        await rm(temporary, { force: true });
      }
    });
  }
}

interface TransferOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void;
}

function copyOptions(context: OperationContext, message: string): TransferOptions {
  return {
    signal: context.signal,
    onProgress: ({ doneBytes, totalBytes }) => context.progress({ fraction: doneBytes / totalBytes, message }),
  };
}

function assertFormat({ format }: ImageFile): void {
  if (format === "raw" || format === "qcow2") return;
  throw new VdcError("INVALID_ARGUMENT", `image format '${format}' is not known: there are raw and qcow2`, {
    reason: "VDC_IMAGE_FORMAT",
  });
}

function destinationExists(path: string): VdcError {
  return new VdcError("ALREADY_EXISTS", `'${path}' exists already`, { reason: "VDC_FILE_EXISTS" });
}

/** The size of an image's disk, in whole sectors. Refuses an image that names other files, or needs what the engine does not have. */
async function imageSizeOf({ path, format }: ImageFile): Promise<number> {
  if (format === "raw") {
    const disk = await openImage({ path, format });
    await disk.close();
    return Math.ceil(disk.sizeBytes / 512) * 512;
  }
  const image = await inspect(path).catch((error) => {
    throw refused(path, (error as Error).message, error);
  });
  const why = [
    ...(image.backing === undefined ? [] : [`it names the backing file '${image.backing.path}'`]),
    ...(image.dataFile === undefined ? [] : [`it names the data file '${image.dataFile.name ?? ""}'`]),
    ...(image.encryption === "none" ? [] : [`it is encrypted (${image.encryption})`]),
    ...image.unsupported.map((feature) => `it has ${feature}`),
    ...(image.isCorrupt ? ["it is marked as corrupt"] : []),
  ];
  if (why.length > 0) throw refused(path, why.join(", "));
  return image.virtualSizeBytes;
}

function refused(path: string, why: string, cause?: unknown): VdcError {
  if ((cause as { readonly code?: string } | undefined)?.code === "NOT_FOUND") {
    return new VdcError("NOT_FOUND", `there is no image '${path}'`, { cause });
  }
  return new VdcError("INVALID_ARGUMENT", `image '${path}' is refused: ${why}`, { reason: "VDC_IMAGE_REFUSED", cause });
}

/** Opens an image for reading. No backing is resolved, so that one that appeared since the inspection is refused. */
async function openImage({ path, format }: ImageFile): Promise<BlockSource> {
  try {
    return await (format === "raw" ? openRawSource(path) : Qcow2Image.open(path, { readOnly: true }));
  } catch (error) {
    throw refused(path, (error as Error).message, error);
  }
}

async function writeRaw(path: string, source: BlockSource, options: TransferOptions): Promise<void> {
  const fd = openSync(path, "wx", 0o600);
  try {
    // Holes stay holes: what is zero is not written.
    ftruncateSync(fd, source.sizeBytes);
    const target: BlockTarget = {
      sizeBytes: source.sizeBytes,
      writeSync: (buffer, offset) => {
        for (let done = 0; done < buffer.length; )
          done += writeSync(fd, buffer, done, buffer.length - done, offset + done);
      },
    };
    await copyBlocks(source, target, options);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

async function writeQcow2(path: string, source: BlockSource, options: TransferOptions): Promise<void> {
  await createImage({ path, virtualSizeBytes: source.sizeBytes, durable: false });
  await using target = await Qcow2Image.open(path, { lock: false });
  await copyBlocks(source, target, options);
  await target.flush();
}
