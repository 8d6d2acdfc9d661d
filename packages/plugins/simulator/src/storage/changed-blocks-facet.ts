import { VdcError } from "@vdc-os/core";
import type { ChangedBlocksFacet, Extent } from "@vdc-os/core/storage/v1";
import { blockBytes } from "./sparse-layer.ts";
import type { VolumePool } from "./volume-pool.ts";
import type { Checkpoint, VolumeRecord } from "./volume-record.ts";

/** Which blocks have changed, by the numbers of those that were written. */
export function changedBlocksFacet(pool: VolumePool): ChangedBlocksFacet {
  const find = (record: VolumeRecord, id: string): Checkpoint => {
    const checkpoint = record.checkpoints.get(id);
    if (checkpoint !== undefined) return checkpoint;
    throw new VdcError("NOT_FOUND", `volume '${record.facts.name}' has no checkpoint '${id}'`);
  };
  return {
    async createCheckpoint({ volumeId, name }) {
      const { checkpoints } = pool.volume(volumeId);
      for (const present of checkpoints.values()) if (present.name === name) return { checkpoint: present.id };
      const id = pool.world.nextId("checkpoint");
      checkpoints.set(id, { id, name, createdAt: pool.world.clock.now(), dirty: new Set() });
      return { checkpoint: id };
    },
    async listCheckpoints({ volumeId }) {
      return [...pool.volume(volumeId).checkpoints.values()].map(({ id, name, createdAt, broken }) => ({
        checkpoint: id,
        name,
        createdAt,
        intact: broken === undefined,
      }));
    },
    async deleteCheckpoint({ volumeId, checkpoint }) {
      pool.volume(volumeId).checkpoints.delete(checkpoint);
    },
    async *changedExtents({ volumeId, since, startingOffset = 0 }) {
      const record = pool.volume(volumeId);
      const { dirty, broken } = find(record, since);
      if (broken !== undefined) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `changes of '${record.facts.name}' can't be told: ${broken}; take a full copy`,
        );
      }
      yield* extents(
        record,
        [...dirty].sort((a, b) => a - b),
        startingOffset,
      );
    },
    async *allocatedExtents({ volumeId, startingOffset = 0 }) {
      const record = pool.volume(volumeId);
      yield* extents(record, record.layer.numbers(), startingOffset);
    },
  };
}

function* extents(record: VolumeRecord, blocks: readonly number[], startingOffset: number): Generator<Extent> {
  const { capacityBytes } = record;
  if (startingOffset > capacityBytes) {
    throw new VdcError("OUT_OF_RANGE", `offset ${startingOffset} is beyond the volume's ${capacityBytes} bytes`);
  }
  let run: { offset: number; end: number; zero: boolean } | undefined;
  for (const block of blocks) {
    const offset = Math.max(block * blockBytes, startingOffset);
    const end = Math.min((block + 1) * blockBytes, capacityBytes);
    if (end <= offset) continue;
    const zero = record.layer.read(offset, end - offset).every((byte) => byte === 0);
    if (run !== undefined && run.end === offset && run.zero === zero) {
      run.end = end;
      continue;
    }
    if (run !== undefined) yield { offset: run.offset, length: run.end - run.offset, zero: run.zero };
    run = { offset, end, zero };
  }
  if (run !== undefined) yield { offset: run.offset, length: run.end - run.offset, zero: run.zero };
}
