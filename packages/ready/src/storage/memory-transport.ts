import { VdcError } from "@vdc-os/core";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { allocatedOf, memoryBlockBytes, type MemoryPool, type MemoryVolume, readBlock } from "./memory-pool.ts";
import type { BlockClient } from "./storage-instance.ts";

/** Connects to an attached volume or snapshot. Each request is held against what is attached now: that is the fence. */
export async function openMemoryTransport(pool: MemoryPool, transport: VolumeTransport): Promise<BlockClient> {
  const [id = "", who = ""] = transport.kind === "nbd-unix" ? transport.exportName.split("/") : [];
  if (id.startsWith("snapshot-")) return openSnapshot(pool, id, who);
  const owned = (write: boolean): MemoryVolume => {
    const volume = pool.volumes.get(id);
    const { attachment } = volume ?? {};
    if (volume === undefined || attachment?.generation !== Number(who)) {
      throw new VdcError("PERMISSION_DENIED", `generation ${who} of '${id}' is no owner`);
    }
    if (write && attachment.access === "readOnly") throw new VdcError("PERMISSION_DENIED", "attached read-only");
    return volume;
  };
  const change = (volume: MemoryVolume, block: number, data: Uint8Array): void => {
    if (!volume.blocks.has(block) && allocatedOf(pool) + memoryBlockBytes > pool.totalBytes) {
      throw new VdcError("RESOURCE_EXHAUSTED", "ENOSPC");
    }
    volume.blocks.set(block, data);
    for (const { dirty } of volume.checkpoints.values()) dirty.add(block);
  };
  owned(false);
  return {
    async read(offset, length) {
      const volume = owned(false);
      pace(pool, volume, length);
      const data = new Uint8Array(length);
      for (let done = 0; done < length; done += memoryBlockBytes) {
        data.set(readBlock(pool, volume, (offset + done) / memoryBlockBytes), done);
      }
      return data;
    },
    async write(offset, data) {
      const volume = owned(true);
      if (offset + data.length > volume.capacityBytes) throw new VdcError("OUT_OF_RANGE", "beyond the end");
      pace(pool, volume, data.length);
      for (let done = 0; done < data.length; done += memoryBlockBytes) {
        change(volume, (offset + done) / memoryBlockBytes, data.slice(done, done + memoryBlockBytes));
      }
    },
    async discard(offset, length) {
      const volume = owned(true);
      for (let done = 0; done < length; done += memoryBlockBytes) {
        const block = (offset + done) / memoryBlockBytes;
        change(volume, block, new Uint8Array(memoryBlockBytes));
        if (volume.parentVolumeId === undefined && volume.parentSnapshotId === undefined) volume.blocks.delete(block);
      }
    },
    flush: async () => void owned(false),
    close: async () => {},
  };
}

/** What a limit costs a request: time on the pool's clock. There is no burst. */
function pace(pool: MemoryPool, { qos }: MemoryVolume, length: number): void {
  if (qos.iops > 0) pool.nowMs += 1000 / qos.iops;
  if (qos.bytesPerSecond > 0) pool.nowMs += (1000 * length) / qos.bytesPerSecond;
}

function openSnapshot(pool: MemoryPool, snapshotId: string, host: string): BlockClient {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const snapshot = pool.snapshots.get(snapshotId);
    if (!snapshot?.readingHosts.has(host)) throw new VdcError("PERMISSION_DENIED", "it is not attached here");
    const data = new Uint8Array(length);
    for (let done = 0; done < length; done += memoryBlockBytes) {
      const block = snapshot.blocks.get((offset + done) / memoryBlockBytes);
      if (block !== undefined) data.set(block, done);
    }
    return data;
  };
  const refuse = async (): Promise<never> => {
    throw new VdcError("PERMISSION_DENIED", "a snapshot is never written");
  };
  return { read, write: refuse, discard: refuse, flush: async () => {}, close: async () => {} };
}
