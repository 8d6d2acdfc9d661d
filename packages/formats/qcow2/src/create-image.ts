import { randomBytes } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { type FileLayer, nodeFileLayer } from "./file-layer.ts";
import { assertVirtualSize } from "./geometry.ts";
import { assertBackingName, type NewBacking } from "./header-layout.ts";
import { checkFormat, type ImageFormat, type NewDataFile } from "./image-format.ts";
import { initialLayout, writeInitialLayout } from "./initial-layout.ts";
import { draftLuks, draftLuksSync, type LuksDraft, type NewEncryption } from "./luks-unlock.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

export interface CreateImageOptions extends ImageFormat {
  readonly path: string;
  /** A multiple of 512. */
  readonly virtualSizeBytes: number;
  /** The image below the new one. Its name is stored as given, relative names counting from the new image's folder. */
  readonly backing?: NewBacking;
  /** Keeps the guest's data in a file of its own. Openers have to allow it by `resolveDataFile`. */
  readonly dataFile?: NewDataFile;
  /** Encrypts what the guest writes. Needs version 3 and no data file of its own; nothing in the image can be compressed. */
  readonly encryption?: NewEncryption;
  /** Whether the image survives a power loss once this returns. Defaults to true. */
  readonly durable?: boolean;
  /**
   * Whether nobody looks for the image under its name yet, as in a folder that appears later as a whole: it is then written in place, and an incomplete
   * one may be left by a crash. Defaults to false.
   */
  readonly isHidden?: boolean;
  /** Defaults to the real file system. */
  readonly fileLayer?: FileLayer;
}

/** As `createImage`, blocking the thread; for a passphrase of many iterations that is long. */
export function createImageSync(options: CreateImageOptions): void {
  writeImageFile(options, options.encryption && draftLuksSync(options.encryption));
}

/**
 * Creates an empty image, complete or not at all: it is written under a temporary name in the same folder, synced, and then
 * published. A file of that name is never replaced.
 *
 * Errors: `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `TOO_LARGE`, `NO_SPACE`.
 */
export async function createImage(options: CreateImageOptions): Promise<void> {
  writeImageFile(options, options.encryption && (await draftLuks(options.encryption)));
}

function writeImageFile(options: CreateImageOptions, luks: LuksDraft | undefined): void {
  const { path, virtualSizeBytes, backing, durable = true } = options;
  assertVirtualSize(virtualSizeBytes);
  const format = checkFormat(options);
  const { dataFile } = options;
  if (backing) assertBackingName(backing.path, format.geometry.clusterSize);
  if (backing && dataFile?.raw) {
    throw new Qcow2Error("INVALID_ARGUMENT", "an image whose data file is a raw disk by itself cannot have a backing");
  }
  if (luks && (format.version !== 3 || dataFile)) {
    throw new Qcow2Error("INVALID_ARGUMENT", "an encrypted image has version 3 and no external data file");
  }
  const keyBytes = luks?.length ?? 0;
  const layout = initialLayout(format, virtualSizeBytes, { mapped: dataFile?.raw === true, keyBytes });
  const reference = dataFile === undefined ? undefined : { name: dataFile.path, raw: dataFile.raw === true };

  const layer = options.fileLayer ?? nodeFileLayer;
  const isHidden = options.isHidden === true;
  const temporary = isHidden ? path : join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  let removeDataFile: (() => void) | undefined;
  const file = layer.openSync(temporary, { write: true, create: true });
  try {
    try {
      if (dataFile) removeDataFile = makeDataFile(layer, dataFile, options);
      writeInitialLayout(file, layout, { backing, dataFile: reference }, luks);
      if (durable) file.syncSync();
    } finally {
      file.closeSync();
    }
    if (!isHidden) layer.publishSync(temporary, path, { durable });
  } catch (error) {
    removeDataFile?.();
    try {
      layer.removeSync(temporary);
    } catch {
      // Already published or never created: the first error is the one to report.
    }
    throw toQcow2Error(error, `cannot create '${path}'`);
  }
}

/** Makes or takes the data file. Returns what removes it again when the image cannot be created. */
function makeDataFile(layer: FileLayer, dataFile: NewDataFile, options: CreateImageOptions): () => void {
  const { virtualSizeBytes, durable = true } = options;
  if (dataFile.adopt && !dataFile.raw) {
    throw new Qcow2Error("INVALID_ARGUMENT", "only a data file that is a raw disk by itself can be taken as it is");
  }
  const path = resolve(dirname(options.path), dataFile.path);
  const file = layer.openSync(path, { write: true, create: dataFile.adopt !== true });
  try {
    if (!dataFile.adopt) {
      file.truncateSync(virtualSizeBytes);
      if (durable) file.syncSync();
    } else if (file.status().sizeBytes !== virtualSizeBytes) {
      throw new Qcow2Error("INVALID_ARGUMENT", `the data file '${path}' does not have ${virtualSizeBytes} bytes`);
    }
  } finally {
    file.closeSync();
  }
  return () => {
    if (!dataFile.adopt) layer.removeSync(path);
  };
}
