import type { OperationContext } from "@vdc-os/core";
import type { HealthReason, VolumeHealth } from "@vdc-os/core/storage/v1";
import { inspect } from "@vdc-os/qcow2";
import { servedOwner } from "./layer-changes.ts";
import type { Unserved } from "./server/left-unserved.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

function notWell(condition: "degraded" | "abnormal", reasons: readonly HealthReason[]): VolumeHealth {
  return { condition, message: reasons.map(({ message }) => message).join("; "), reasons };
}

/** Whether a pool is well. */
export async function poolHealth(pool: ThinPool): Promise<VolumeHealth> {
  const { damaged } = pool.catalog;
  if (damaged.length > 0) {
    const message = `the records of ${damaged.length} volumes cannot be read: ${damaged.slice(0, 5).join(", ")}`;
    return notWell("abnormal", [{ code: "corrupt", message }]);
  }
  const { alarms } = pool.capacity();
  if (alarms.length === 0) return { condition: "healthy", message: "all volumes can be used" };
  const full = alarms.some(({ kind }) => kind === "outOfSpace");
  const reasons = alarms.map(
    ({ kind, message }): HealthReason => ({ code: kind === "outOfSpace" ? "outOfSpace" : "nearlyFull", message }),
  );
  // Writes that wait do not fail.
  return notWell(full && pool.outOfSpace === "fail" ? "abnormal" : "degraded", reasons);
}

/** Whether a volume is well. */
export async function volumeHealth(
  pool: ThinPool,
  entry: VolumeEntry,
  context: OperationContext,
): Promise<VolumeHealth> {
  const { catalog, layout } = pool;
  const { record, volumeId } = entry;
  const { parentVolumeId, snapshots = [] } = record;
  const image = entry.isPristine ? [] : [layout.image(volumeId)];
  const paths = [...image, ...snapshots.map(({ snapshotId }) => layout.layer(volumeId, snapshotId))];
  for (const path of paths) {
    try {
      const image = await inspect(path);
      if (image.isCorrupt) return notWell("abnormal", [{ code: "corrupt", message: "its image is marked as corrupt" }]);
    } catch (error) {
      return notWell("abnormal", [{ code: "corrupt", message: `its image cannot be read: ${String(error)}` }]);
    }
  }
  if (parentVolumeId !== undefined && catalog.find(parentVolumeId) === undefined) {
    const message = `the volume '${parentVolumeId}' that it reads from is gone`;
    return notWell("abnormal", [{ code: "parentMissing", message }]);
  }
  const { waitingWrites, needsKey, unserved } = await statusOf(pool, entry, context);
  const reasons: HealthReason[] = [];
  if (unserved !== undefined) {
    const { why, outOfSpace } = unserved;
    const message = `its storage process can't serve it, and tries again: ${why}`;
    // Where space is missing its owner waits, as its writes would.
    if (!outOfSpace) return notWell("abnormal", [{ code: "unreachable", message }]);
    reasons.push({ code: "outOfSpace", message });
  }
  if (needsKey) reasons.push({ code: "other", message: "its storage process waits for its key" });
  if (waitingWrites > 0) {
    const message = `the pool is out of space: ${waitingWrites} writes wait until there is some`;
    reasons.push({ code: "outOfSpace", message });
  }
  if (reasons.length > 0) return notWell("degraded", reasons);
  return { condition: "healthy", message: "its image can be read" };
}

/** What a storage process says of a volume. */
interface ServedStatus {
  readonly volumeId: string;
  readonly waitingWrites: number;
}

/** What is known of a volume where it is served. */
interface VolumeStatus {
  readonly waitingWrites: number;
  readonly needsKey: boolean;
  readonly unserved: Unserved | undefined;
}

/** What the process that serves a volume says of it. One that does not answer says nothing: that is its host's own trouble. */
async function statusOf(pool: ThinPool, entry: VolumeEntry, context: OperationContext): Promise<VolumeStatus> {
  const served = servedOwner(entry.record);
  const well = { waitingWrites: 0, needsKey: false, unserved: undefined };
  if (served === undefined) return well;
  try {
    // A process that was started by an earlier version tells nothing of what it does not serve.
    const {
      volumes,
      needsKey,
      unserved = [],
    } = (await pool.processes.request(served.host, "status", {}, context)) as unknown as {
      readonly volumes: readonly ServedStatus[];
      readonly needsKey: readonly { readonly volumeId: string; readonly snapshotId?: string }[];
      readonly unserved?: readonly Unserved[];
    };
    const isIt = (one: { readonly volumeId: string; readonly snapshotId?: string | undefined }): boolean =>
      one.volumeId === entry.volumeId && one.snapshotId === undefined;
    const { waitingWrites } = volumes.find(({ volumeId }) => volumeId === entry.volumeId) ?? well;
    return { waitingWrites, needsKey: needsKey.some(isIt), unserved: unserved.find(isIt) };
  } catch {
    return well;
  }
}
