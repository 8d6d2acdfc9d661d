import { VdcError } from "@vdc-os/core";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { openFileDevice } from "./file-device.ts";
import { NbdDevice } from "./nbd-device.ts";

/** A run of a disk's bytes that certainly reads as zeroes, or may hold anything. */
export interface ZeroExtent {
  readonly offset: number;
  readonly length: number;
  readonly zero: boolean;
}

/** A disk as whoever copies it sees it. Failures have codes. */
export interface BlockDevice {
  readonly sizeBytes: number;
  /** Fills the whole of `target`. */
  read(target: Buffer, offset: number, signal: AbortSignal): Promise<void>;
  /** `source` is not changed before it resolves. */
  write(source: Buffer, offset: number, signal: AbortSignal): Promise<void>;
  writeZeroes(offset: number, length: number, signal: AbortSignal): Promise<void>;
  /** Resolves once what was written outlives a power cut. */
  flush(signal: AbortSignal): Promise<void>;
  /** Where a range is certainly zero, in order and without gaps. Absent where the disk can't tell. */
  readonly zeroExtents?: (offset: number, length: number, signal: AbortSignal) => AsyncIterable<ZeroExtent>;
  close(): Promise<void>;
}

/** Options of {@link OpenDevice}. */
export interface OpenDeviceOptions {
  readonly writable: boolean;
  readonly signal: AbortSignal;
}

/** Connects to a disk on this host. */
export type OpenDevice = (transport: VolumeTransport, options: OpenDeviceOptions) => Promise<BlockDevice>;

/** Connects over NBD, or opens a raw file or a block device. Other transports fail with `UNIMPLEMENTED`. */
export const openBlockDevice: OpenDevice = async (transport, options) => {
  switch (transport.kind) {
    case "nbd-unix":
      return NbdDevice.open(transport.path, transport.exportName, options);
    case "nbd-tcp":
      if (transport.tls) break;
      return NbdDevice.open({ host: transport.address, port: transport.port }, transport.exportName, options);
    case "file":
      if (transport.format !== "raw") break;
      return openFileDevice(transport.path, options);
    case "block":
      return openFileDevice(transport.path, options);
    case "iscsi":
    case "rbd":
      break;
  }
  throw new VdcError("UNIMPLEMENTED", `a disk reached by '${transport.kind}' so can't be copied here`, {
    reason: "VDC_TRANSPORT_UNSUPPORTED",
  });
};
