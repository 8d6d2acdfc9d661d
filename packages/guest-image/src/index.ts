// The image

export type { BuildGuestImageOptions, GuestImage } from "./build-guest-image.ts";
export { buildGuestImage } from "./build-guest-image.ts";
export type { DataDiskOptions } from "./data-disk.ts";
// Its data disk
export { dataDiskMarkerOffset, dataDiskMinimumLengthForMarker, writeDataDisk } from "./data-disk.ts";
export type { GuestImageErrorCode } from "./guest-image-error.ts";

// Errors
export { GuestImageError } from "./guest-image-error.ts";
export type { TarFile } from "./tar-archive.ts";
