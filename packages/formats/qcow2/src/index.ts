// Making and opening images.

export { type CreateImageOptions, createImage, createImageSync } from "./create-image.ts";
export type { NewBacking } from "./header-layout.ts";
export type { ImageFormat, NewDataFile } from "./image-format.ts";
export type { ImageInfo } from "./image-info.ts";
export type { OpenImageOptions } from "./open-image.ts";
export { Qcow2Image } from "./qcow2-image.ts";
export type { ImageKeys, PassphraseChange } from "./image-keys.ts";
export type { ImagePassphrase, NewEncryption, PassphraseChoice, PassphraseOptions } from "./luks-unlock.ts";
export type { ResizeOptions } from "./resize.ts";

// What an image names: the one below it, and the file of its data.

export { type BackingRequest, type BackingResolver, backingFolder, type ResolvedBacking } from "./backing.ts";
export { type DataFileRequest, type DataFileResolver, dataFileFolder, type ResolvedDataFile } from "./data-file.ts";
export type { BackingReference, DataFileReference } from "./header.ts";

// Snapshots and bitmaps inside an image.

export type { BitmapInfo } from "./dirty-bitmaps.ts";
export type { ImageBitmaps } from "./image-bitmaps.ts";
export type { ImageSnapshots } from "./image-snapshots.ts";
export type { CreateBitmapOptions } from "./new-bitmap.ts";
export type { CreateSnapshotOptions, SnapshotInfo } from "./snapshots.ts";
export type { DirtyRange } from "./tracked-bitmap.ts";

// Looking at images, checking and repairing them.

export {
  type CheckOptions,
  type CheckResult,
  check,
  type LiveCheckOptions,
  type RepairOptions,
  repair,
} from "./check.ts";
export { lockPathOf, removeAbandonedClaims } from "./image-lock.ts";
export { hasJournal } from "./mapping-journal.ts";
export { type ImageInspection, type InspectOptions, inspect } from "./inspect.ts";
export { type MappedRange, mapRanges } from "./map-ranges.ts";
export { type MeasuredSize, type MeasureOptions, measure } from "./measure.ts";
export type { RepairMode } from "./repair.ts";
export type { CheckProblem, CheckProgress } from "./survey.ts";

// Disks in general: reading, copying, converting.

export { changedBetween, type DiskMap } from "./disk-map.ts";
export type { BlockSource, Extent, ExtentKind } from "./block-source.ts";
export { type ConvertOptions, type ConvertTarget, convert } from "./convert.ts";
export { type CompressingTarget, copyCompressed } from "./copy-compressed.ts";
export { type BlockTarget, type CopyOptions, type CopyProgress, copyBlocks } from "./copy-blocks.ts";
export { openRawSource } from "./raw-source.ts";

// A file system of one's own.

export { type FileLayer, type FileStatus, type ImageFile, nodeFileLayer, type OpenFileOptions } from "./file-layer.ts";

// Errors.

export { Qcow2Error, type Qcow2ErrorCode } from "./qcow2-error.ts";
