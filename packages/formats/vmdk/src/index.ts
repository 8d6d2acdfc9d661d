// Reading.
export type { DiskExtent, DiskSource } from "./disk-source.ts";
export { VmdkDisk } from "./vmdk-disk.ts";
export type { AdapterType, Descriptor, ExtentLine } from "./descriptor.ts";
// Writing.
export { type CreateVmdkOptions, createVmdk } from "./create-vmdk.ts";
export { type StreamOptimizedOptions, streamOptimized } from "./stream-optimized.ts";
// Errors.
export { VmdkError, type VmdkErrorCode } from "./vmdk-error.ts";
