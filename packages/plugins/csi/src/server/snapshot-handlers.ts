import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { Snapshot } from "@vdc-os/core/storage/v1";
import type { Sparse } from "../grpc/message.ts";
import type { CreateSnapshotRequest, ListSnapshotsRequest, ListSnapshotsResponse } from "../spec/snapshot-messages.ts";
import type { CsiSnapshot } from "../spec/volume-messages.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import { isPossibleId, providerName, required, requiredId } from "./require-fields.ts";
import { collect } from "./volume-handlers.ts";

/** `CreateSnapshot`: idempotent by name for one source. */
export async function createSnapshot(
  calls: ProviderCalls,
  request: CreateSnapshotRequest,
  context: OperationContext,
): Promise<Sparse<CsiSnapshot>> {
  const name = providerName(required(request.name, "name"));
  const volumeId = requiredId(request.sourceVolumeId, "source_volume_id");
  const [parameter] = Object.keys(request.parameters).filter((key) => !key.startsWith("csi.storage.k8s.io/"));
  if (parameter !== undefined) {
    throw new VdcError("INVALID_ARGUMENT", `snapshots have no parameters, such as '${parameter}'`);
  }
  const snapshots = await calls.facet("snapshots", context);
  return toCsi(await snapshots.createSnapshot({ name, volumeId }, context));
}

/** `DeleteSnapshot`. */
export async function deleteSnapshot(
  calls: ProviderCalls,
  snapshotId: string,
  context: OperationContext,
): Promise<void> {
  required(snapshotId, "snapshot_id");
  const snapshots = await calls.facet("snapshots", context);
  if (isPossibleId(snapshotId)) await snapshots.deleteSnapshot({ snapshotId }, context);
}

/** `ListSnapshots`: all, of one volume, or one. What a filter names and is not there is an empty list. */
export async function listSnapshots(
  calls: ProviderCalls,
  request: ListSnapshotsRequest,
  context: OperationContext,
): Promise<Sparse<ListSnapshotsResponse>> {
  const snapshots = await calls.facet("snapshots", context);
  const { snapshotId, sourceVolumeId, startingToken } = request;
  if (!isPossibleId(snapshotId) || !isPossibleId(sourceVolumeId)) return {};
  if (snapshotId !== "") {
    const found = await absent(snapshots.getSnapshot({ snapshotId }, context));
    const matches = found !== undefined && (sourceVolumeId === "" || found.volumeId === sourceVolumeId);
    return { entries: matches ? [{ snapshot: toCsi(found) }] : [] };
  }
  const filter = sourceVolumeId === "" ? {} : { volumeId: sourceVolumeId };
  const page = await absent(
    collect({ asked: request.maxEntries, startingToken }, (asked) =>
      snapshots.listSnapshots({ ...asked, ...filter }, context),
    ),
  );
  if (page === undefined) return {};
  return { entries: page.items.map((item) => ({ snapshot: toCsi(item) })), nextToken: page.nextToken };
}

async function absent<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isVdcError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

function toCsi(snapshot: Snapshot): Sparse<CsiSnapshot> {
  const seconds = Math.floor(snapshot.createdAt / 1_000);
  return {
    snapshotId: snapshot.snapshotId,
    sourceVolumeId: snapshot.volumeId,
    sizeBytes: snapshot.capacityBytes,
    creationTime: { seconds, nanos: Math.floor((snapshot.createdAt - seconds * 1_000) * 1e6) },
    readyToUse: snapshot.ready,
  };
}
