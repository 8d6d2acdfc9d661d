import { VdcError } from "@vdc-os/core";
import type {
  ChangedBlocksFacet,
  DiscardFacet,
  EncryptionFacet,
  Extent,
  MigrateFacet,
  QosFacet,
} from "@vdc-os/core/storage/v1";
import { contentOf, memoryBlockBytes, type MemoryVolume, readBlock } from "./memory-pool.ts";
import type { MemoryStorageProvider } from "./memory-storage-provider.ts";

/** Keys that the reference can read, and pools that it can move a volume to. */
export const memoryKeys: readonly string[] = ["key-1", "key-2"];
export const memoryTargetPool = "memory-2";

/** What can be done with the data of the reference's volumes. */
export function memoryDataServices(provider: MemoryStorageProvider): {
  readonly changedBlocks: ChangedBlocksFacet;
  readonly discard: DiscardFacet;
  readonly qos: QosFacet;
  readonly encryption: EncryptionFacet;
  readonly migrate: MigrateFacet;
} {
  const { pool } = provider;

  function* extentsOf(volume: MemoryVolume, blocks: Iterable<number>, from: number): Generator<Extent> {
    if (from > volume.capacityBytes) throw new VdcError("OUT_OF_RANGE", `offset ${from} is beyond the end`);
    for (const block of [...blocks].sort((a, b) => a - b)) {
      const offset = Math.max(block * memoryBlockBytes, from);
      const length = (block + 1) * memoryBlockBytes - offset;
      if (length <= 0 || offset >= volume.capacityBytes) continue;
      yield { offset, length, zero: readBlock(pool, volume, block).every((byte) => byte === 0) };
    }
  }

  const migrationOf = (volumeId: string): NonNullable<MemoryVolume["migration"]> => {
    const { migration } = provider.get(volumeId);
    if (migration === undefined) throw new VdcError("FAILED_PRECONDITION", "it is not being moved");
    return migration;
  };

  return {
    changedBlocks: {
      async createCheckpoint({ volumeId, name }) {
        const { checkpoints } = provider.get(volumeId);
        for (const present of checkpoints.values())
          if (present.name === name) return { checkpoint: present.checkpoint };
        const checkpoint = `checkpoint-${pool.nextId++}`;
        checkpoints.set(checkpoint, { checkpoint, name, dirty: new Set(), intact: true });
        return { checkpoint };
      },
      async listCheckpoints({ volumeId }) {
        const all = [...provider.get(volumeId).checkpoints.values()];
        return all.map(({ checkpoint, name, intact }) => ({ checkpoint, name, intact, createdAt: 0 }));
      },
      async deleteCheckpoint({ volumeId, checkpoint }) {
        provider.get(volumeId).checkpoints.delete(checkpoint);
      },
      async *changedExtents({ volumeId, since, startingOffset = 0 }) {
        const volume = provider.get(volumeId);
        const checkpoint = volume.checkpoints.get(since);
        if (checkpoint === undefined) throw new VdcError("NOT_FOUND", `there is no checkpoint '${since}'`);
        if (!checkpoint.intact) throw new VdcError("FAILED_PRECONDITION", "tracking is broken: take a full copy");
        yield* extentsOf(volume, checkpoint.dirty, startingOffset);
      },
      async *allocatedExtents({ volumeId, startingOffset = 0 }) {
        const volume = provider.get(volumeId);
        yield* extentsOf(volume, contentOf(pool, volume).keys(), startingOffset);
      },
    },
    discard: {
      async reclaim({ volumeId }) {
        const volume = provider.get(volumeId);
        if (volume.parentVolumeId !== undefined || volume.parentSnapshotId !== undefined) return { reclaimedBytes: 0 };
        let reclaimedBytes = 0;
        for (const [block, data] of [...volume.blocks]) {
          if (data.some((byte) => byte !== 0)) continue;
          volume.blocks.delete(block);
          reclaimedBytes += memoryBlockBytes;
        }
        return { reclaimedBytes };
      },
    },
    qos: {
      async setQos({ volumeId, policy }) {
        provider.get(volumeId).qos = policy;
      },
      getQos: async ({ volumeId }) => provider.get(volumeId).qos,
    },
    encryption: {
      async encryptionStatus({ volumeId }) {
        return { encrypted: true, cipher: "none-at-all", keyRef: provider.get(volumeId).keyRef };
      },
      async rotateKey({ volumeId, keyRef }) {
        const volume = provider.get(volumeId);
        if (!memoryKeys.includes(keyRef)) throw new VdcError("PERMISSION_DENIED", `key '${keyRef}' can't be read`);
        volume.keyRef = keyRef;
      },
    },
    migrate: {
      async startMigration({ volumeId, targetPool }) {
        const volume = provider.get(volumeId);
        if (targetPool !== memoryTargetPool) throw new VdcError("NOT_FOUND", `there is no pool '${targetPool}'`);
        volume.migration ??= { targetPool, status: { state: "syncing", fraction: 0, message: "" } };
      },
      async migrationStatus({ volumeId }) {
        const migration = migrationOf(volumeId);
        const { status } = migration;
        migration.status = { state: "ready", fraction: 1, message: "all is there" };
        return status;
      },
      async pivotMigration({ volumeId }) {
        const volume = provider.get(volumeId);
        const { targetPool, status } = migrationOf(volumeId);
        if (status.state !== "ready") throw new VdcError("FAILED_PRECONDITION", "not all is there yet");
        volume.poolName = targetPool;
        volume.migration = undefined;
      },
      async cancelMigration({ volumeId }) {
        provider.get(volumeId).migration = undefined;
      },
    },
  };
}
