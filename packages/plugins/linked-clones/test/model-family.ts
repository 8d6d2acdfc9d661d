/** Blocks of a model's volume: one byte stands for each block. */
export const modelBlocks = 8;

/** A volume of the model. */
export interface ModelVolume {
  readonly volumeId: string;
  readonly name: string;
  content: readonly number[];
  parentVolumeId: string | undefined;
  parentSnapshotId: string | undefined;
  tombstoned: boolean;
  /** The generation that is attached for writing. */
  attached: number | undefined;
  generation: number;
}

/** A snapshot of the model. */
export interface ModelSnapshot {
  readonly snapshotId: string;
  readonly name: string;
  readonly volumeId: string;
  readonly content: readonly number[];
  kept: boolean;
}

/** What there must be: volumes and snapshots, who reads what, and what each holds. */
export class ModelFamily {
  readonly volumes: Map<string, ModelVolume> = new Map();
  readonly snapshots: Map<string, ModelSnapshot> = new Map();

  live(): readonly ModelVolume[] {
    return [...this.volumes.values()].filter(({ tombstoned }) => !tombstoned);
  }

  shown(): readonly ModelSnapshot[] {
    return [...this.snapshots.values()].filter(({ kept }) => !kept);
  }

  /** The volumes that read a volume itself. */
  directChildren(volumeId: string): readonly ModelVolume[] {
    return this.childrenOf(volumeId).filter(({ parentSnapshotId }) => parentSnapshotId === undefined);
  }

  /** The volumes that read a volume, or a snapshot of it. */
  childrenOf(volumeId: string): readonly ModelVolume[] {
    return [...this.volumes.values()].filter(({ parentVolumeId }) => parentVolumeId === volumeId);
  }

  snapshotsOf(volumeId: string): readonly ModelSnapshot[] {
    return [...this.snapshots.values()].filter((snapshot) => snapshot.volumeId === volumeId);
  }

  depthOf({ parentVolumeId }: ModelVolume): number {
    const parent = parentVolumeId === undefined ? undefined : this.volumes.get(parentVolumeId);
    return parent === undefined ? 1 : 1 + this.depthOf(parent);
  }

  /** Makes a volume stand alone. */
  detach(volume: ModelVolume): void {
    volume.parentVolumeId = undefined;
    volume.parentSnapshotId = undefined;
    this.collect();
  }

  /** Removes what was kept for others, and is read by nobody any more. */
  collect(): void {
    for (let again = true; again; ) {
      again = false;
      for (const { snapshotId, kept } of [...this.snapshots.values()]) {
        const read = [...this.volumes.values()].some((volume) => volume.parentSnapshotId === snapshotId);
        if (kept && !read) again = this.snapshots.delete(snapshotId);
      }
      for (const { volumeId, tombstoned } of [...this.volumes.values()]) {
        if (!tombstoned || this.childrenOf(volumeId).length > 0 || this.snapshotsOf(volumeId).length > 0) continue;
        again = this.volumes.delete(volumeId);
      }
    }
  }
}
