import type { SnapshotRecord } from "./snapshot-record.ts";
import type { VolumeRecord } from "./volume-record.ts";

// A volume's layers form a tree: a revert begins a branch. `disk.qcow2` is a leaf of it.

/** The layer that all others lie on. `undefined` for a volume without layers. */
export function lowestLayerOf({ snapshots = [] }: VolumeRecord): SnapshotRecord | undefined {
  return snapshots.find(({ below }) => below === undefined);
}

/** What lies on a layer: other layers, and `disk.qcow2` itself as `undefined`. */
export function layersOn(record: VolumeRecord, snapshotId: string): readonly (SnapshotRecord | undefined)[] {
  const layers = (record.snapshots ?? []).filter(({ below }) => below === snapshotId);
  return record.activeLayer === snapshotId ? [...layers, undefined] : layers;
}

/** How many layers a read of a layer, or of `disk.qcow2`, may go through inside its volume. */
export function depthInVolume(record: VolumeRecord, snapshotId: string | undefined): number {
  const { snapshots = [] } = record;
  let depth = snapshotId === undefined ? 1 : 0;
  for (let at = snapshotId ?? record.activeLayer; at !== undefined; depth++) {
    const id = at;
    at = snapshots.find((candidate) => candidate.snapshotId === id)?.below;
  }
  return depth;
}

/** A record after a snapshot: its layer is on top of those below, and `disk.qcow2` lies on it. */
export function withLayer(record: VolumeRecord, snapshot: SnapshotRecord): VolumeRecord {
  return {
    ...record,
    pending: undefined,
    activeLayer: snapshot.snapshotId,
    snapshots: [...(record.snapshots ?? []), { ...snapshot, below: record.activeLayer }],
  };
}

/** A record after a layer was merged into what lies on it, or fell away because nothing does. */
export function withoutLayer(record: VolumeRecord, snapshotId: string): VolumeRecord {
  const { snapshots = [], activeLayer } = record;
  const gone = snapshots.find((candidate) => candidate.snapshotId === snapshotId);
  const rest = snapshots
    .filter((candidate) => candidate !== gone)
    .map((candidate) => (candidate.below === snapshotId ? { ...candidate, below: gone?.below } : candidate));
  return {
    ...record,
    snapshots: rest.length === 0 ? undefined : rest,
    activeLayer: activeLayer === snapshotId ? gone?.below : activeLayer,
  };
}

/** A record in which one snapshot was changed. */
export function withSnapshot(
  record: VolumeRecord,
  snapshotId: string,
  change: (snapshot: SnapshotRecord) => SnapshotRecord,
): VolumeRecord {
  const snapshots = record.snapshots?.map((candidate) =>
    candidate.snapshotId === snapshotId ? change(candidate) : candidate,
  );
  return { ...record, snapshots };
}
