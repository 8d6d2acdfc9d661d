import type { NewEncryption } from "@vdc-os/qcow2";
import type { NewVolumeEncryption } from "./key-resolver.ts";
import type { VolumeRequest } from "./volume-record.ts";

/** A volume to be made. */
export interface NewVolume {
  readonly volumeId: string;
  readonly name: string;
  readonly request: VolumeRequest;
  readonly createdAt: number;
  readonly parentVolumeId?: string | undefined;
  readonly parentSnapshotId?: string | undefined;
  /** Checks that it may be made, and how large it becomes. Runs once its name is reserved. */
  measure(): number | Promise<number>;
  /** How it is encrypted; asked for once it may be made. Absent where it is not. */
  readonly encrypt?: (() => Promise<NewVolumeEncryption | undefined>) | undefined;
  /** Makes the image at a path, and makes its content durable. Absent for an empty image that follows from the record: that is made without. */
  readonly write?: (imagePath: string, capacityBytes: number, encryption: NewEncryption | undefined) => Promise<void>;
}
