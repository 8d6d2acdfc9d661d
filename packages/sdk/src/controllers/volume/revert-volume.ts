import { VdcError } from "@vdc-os/core";
import type { ReconcileResult } from "../../controller/define-controller.ts";
import { volumeSnapshotKind } from "../../kinds/volume-snapshot-spec.ts";
import type { VolumeStatus } from "../../kinds/volume-spec.ts";
import { readyCondition } from "../../resource/condition.ts";
import type { StorageHandle } from "../providers.ts";
import { absentFacet } from "./make-volume.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** How long a revert waits for whoever has the volume, before it looks again, in milliseconds. */
const waitMs = 500;

/**
 * Goes back to a snapshot, once for each request. While it does, the volume is not attached: that is agreed upon in the volume's status, in which a VM records that it
 * has the volume. A revert that was killed half-way is done again before anybody gets the volume. Returns a wait, or nothing when nothing is left to do.
 */
export async function revertVolume(
  context: VolumeContext,
  object: VolumeObject,
  storage: StorageHandle,
  volumeId: string,
): Promise<ReconcileResult | undefined> {
  const { revert } = object.spec;
  const { tenant, name } = object.metadata;
  if (revert === undefined || revert.request === object.status.reverted) return undefined;
  const key = { tenant, name: revert.snapshot };
  const snapshot = await context.store.find(volumeSnapshotKind, key, { signal: context.signal });
  if (snapshot?.status.snapshotId === undefined || snapshot.spec.volume !== name) {
    throw new VdcError("NOT_FOUND", `volume '${name}' has no snapshot '${revert.snapshot}' to go back to`);
  }
  const snapshots = await storage.facet("snapshots", context.operation);
  if (!snapshots.available) throw absentFacet(storage, "go back to snapshots", snapshots.reason);
  const claimed = await context.updateStatus(({ status }) =>
    status.attachedTo === undefined
      ? { status: { ...status, reverting: revert.request } }
      : { conditions: [inUse(status.attachedTo)] },
  );
  if (claimed.status.reverting !== revert.request) return { requeueAfterMs: waitMs };
  const { snapshotId } = snapshot.status;
  await snapshots.operations.revertToSnapshot({ volumeId, snapshotId }, context.operation);
  await context.updateStatus(({ status: { reverting: _, ...status } }) => ({
    status: { ...status, reverted: revert.request },
  }));
  return undefined;
}

function inUse({ vm, host }: NonNullable<VolumeStatus["attachedTo"]>) {
  const message = `it goes back to its snapshot when VM '${vm}' on host '${host}' has let it go`;
  return { type: readyCondition, status: "False", reason: "InUse", message } as const;
}
