import { type OwnerStamp, VdcError } from "@vdc-os/core";
import type { Attachment, Volume, VolumeTransport } from "@vdc-os/core/storage/v1";

/** The unit in which content is kept, in bytes. */
const blockBytes = 4096;

/** How far the sizes of volumes may exceed that of the array: they take space only where they are written. */
export const maxOverSubscription = 4;

/** What the array keeps of a volume. */
export interface ArrayVolume {
  readonly volumeId: string;
  readonly name: string;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly owner: OwnerStamp | undefined;
  /** Blocks by number. One that is absent reads as zeroes. */
  readonly blocks: Map<number, Uint8Array>;
  /** The highest attachment generation that was seen. It never falls: this is the fence. */
  highest: number;
  attachment: Attachment | undefined;
}

/** A connection to an attached volume. */
export interface ArrayClient {
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const arrays = new Map<string, MemoryArray>();

/** Stands in for the storage that the plugin is for, until that takes its place. It is in memory, and outlives the provider as an array does. */
export class MemoryArray {
  readonly volumes: Map<string, ArrayVolume> = new Map();
  /** The size of the array, in bytes. */
  totalBytes: number = 2 ** 30;

  /** The array at an address. */
  static at(address: string): MemoryArray {
    const array = arrays.get(address) ?? new MemoryArray();
    arrays.set(address, array);
    return array;
  }

  get allocatedBytes(): number {
    let blocks = 0;
    for (const volume of this.volumes.values()) blocks += volume.blocks.size;
    return blocks * blockBytes;
  }

  /** What was promised to all volumes, in bytes. */
  get provisionedBytes(): number {
    let bytes = 0;
    for (const { capacityBytes } of this.volumes.values()) bytes += capacityBytes;
    return bytes;
  }

  /** A volume. Throws `NOT_FOUND`. */
  get(volumeId: string): ArrayVolume {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return volume;
  }

  /** Throws `RESOURCE_EXHAUSTED` unless so many bytes more can be promised. */
  mustFit(moreBytes: number): void {
    const left = this.totalBytes * maxOverSubscription - this.provisionedBytes;
    if (moreBytes > left) throw new VdcError("RESOURCE_EXHAUSTED", `${left} bytes can still be promised`);
  }

  /** Where the owner of a generation reaches a volume. */
  transportOf(volumeId: string, generation: number): VolumeTransport {
    return { kind: "nbd-unix", path: "/run/array.sock", exportName: `${volumeId}/${generation}` };
  }

  /** Connects to a volume. Each request is held against the present attachment, so that an owner that was cut off can't write any more. */
  async connect(transport: VolumeTransport): Promise<ArrayClient> {
    const [volumeId = "", generation] = transport.kind === "nbd-unix" ? transport.exportName.split("/") : [];
    const owned = (write: boolean): ArrayVolume => {
      const volume = this.volumes.get(volumeId);
      const { attachment } = volume ?? {};
      if (volume === undefined || attachment?.generation !== Number(generation)) {
        throw new VdcError("PERMISSION_DENIED", `generation ${generation} is not the owner of volume '${volumeId}'`);
      }
      if (write && attachment.access === "readOnly") {
        throw new VdcError("PERMISSION_DENIED", `volume '${volumeId}' is attached read-only`);
      }
      return volume;
    };
    owned(false);
    return {
      read: async (offset, length) => {
        const { blocks } = owned(false);
        const data = new Uint8Array(length);
        for (let at = 0; at < length; at += blockBytes) data.set(blocks.get((offset + at) / blockBytes) ?? noBlock, at);
        return data;
      },
      write: async (offset, data) => {
        const { blocks, capacityBytes } = owned(true);
        if (offset + data.length > capacityBytes) throw new VdcError("OUT_OF_RANGE", "a write past the end");
        for (let at = 0; at < data.length; at += blockBytes) {
          const block = (offset + at) / blockBytes;
          if (!blocks.has(block) && this.allocatedBytes + blockBytes > this.totalBytes) {
            throw new VdcError("RESOURCE_EXHAUSTED", "the array is full");
          }
          blocks.set(block, data.slice(at, at + blockBytes));
        }
      },
      flush: async () => void owned(false),
      close: async () => {},
    };
  }
}

/** A volume, as the contract has it. */
export function viewOf({ volumeId, name, capacityBytes, createdAt, owner, blocks }: ArrayVolume): Volume {
  const allocatedBytes = blocks.size * blockBytes;
  const sizes = { capacityBytes, allocatedBytes, exclusiveBytes: allocatedBytes };
  return { volumeId, name, ...sizes, createdAt, parameters: {}, ...(owner === undefined ? {} : { owner }) };
}

const noBlock = new Uint8Array(blockBytes);
