import {
  isVdcError,
  type Logger,
  type ObjectReference,
  type OperationContext,
  type Page,
  VdcError,
} from "@vdc-os/core";
import type { CreateSnapshot, Snapshot, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { isFinal } from "../driver/csi-driver.ts";
import type { CsiSnapshot } from "../spec/volume-messages.ts";
import { isSnapshotThere, type Stored } from "./csi-catalog.ts";
import { type SnapshotRecord, stampKey, type VolumeRecord } from "./records.ts";
import { attachSnapshot, detachSnapshot, mustHaveNoReaders } from "./snapshot-readers.ts";
import type { VolumeEngine } from "./volume-engine.ts";

type Input<Name extends keyof SnapshotsFacet> = Parameters<SnapshotsFacet[Name]>[0];

/** Facet `snapshots`, over a driver that has `CREATE_DELETE_SNAPSHOT`. */
export function snapshotsFacet(engine: VolumeEngine): SnapshotsFacet {
  const { catalog, driver, busy } = engine;
  const must = (context: OperationContext): Promise<void> => driver.must("createDeleteSnapshot", context);
  const alone = <T>(snapshotId: string, what: string, run: () => Promise<T>): Promise<T> =>
    busy.alone(`snapshot ${snapshotId}`, what, run);
  return {
    async createSnapshot(input, context) {
      context.signal.throwIfAborted();
      await must(context);
      return busy.alone(`snapshot name ${input.name}`, "create", async () =>
        toSnapshot((await createSnapshot(engine, input, context)).value),
      );
    },
    async deleteSnapshot({ snapshotId }, context) {
      await must(context);
      await alone(snapshotId, "delete", () => deleteSnapshot(engine, snapshotId, context));
    },
    async getSnapshot({ snapshotId }, context) {
      return toSnapshot((await refreshed(engine, await catalog.snapshot(snapshotId, context), context)).value);
    },
    listSnapshots: (input, context) => listSnapshots(engine, input, context),
    async attachSnapshot(input, context) {
      await must(context);
      return alone(input.snapshotId, "attach", () => attachSnapshot(engine, input, context));
    },
    detachSnapshot: (input, context) => alone(input.snapshotId, "detach", () => detachSnapshot(engine, input, context)),
    async revertToSnapshot(input, context) {
      await must(context);
      await busy.alone(`volume ${input.volumeId}`, "revert", () => revert(engine, input, context));
    },
    async revertBlockers({ volumeId, snapshotId }, context) {
      await ofVolume(engine, { volumeId, snapshotId }, context);
      return blockersOf((await catalog.volume(volumeId, context)).value);
    },
  };
}

async function createSnapshot(
  engine: VolumeEngine,
  { name, volumeId, owner }: CreateSnapshot,
  context: OperationContext,
): Promise<Stored<SnapshotRecord>> {
  const { catalog } = engine;
  const present = await catalog.snapshots.findByName(name, context);
  if (present?.value.deleting === true) await remove(engine, present, context);
  else if (present !== undefined) {
    const { value } = present;
    if (value.volumeId !== volumeId || stampKey(value.owner) !== stampKey(owner)) {
      throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a snapshot of another volume or owner`);
    }
    return value.csiId === undefined ? cut(engine, present, context) : refreshed(engine, present, context);
  }
  const { value: volume } = await catalog.volume(volumeId, context);
  const stored = await catalog.snapshots.add(
    {
      snapshotId: context.random.uuid(),
      name,
      csiName: `vdc-${context.random.uuid()}`,
      volumeId,
      csiVolumeId: volume.backing.csiId as string,
      owner,
      capacityBytes: volume.capacityBytes,
      createdAt: context.clock.now(),
      ready: false,
      readers: {},
    },
    context,
  );
  return cut(engine, stored, context);
}

async function deleteSnapshot(engine: VolumeEngine, snapshotId: string, context: OperationContext): Promise<void> {
  const { catalog } = engine;
  let stored = await catalog.snapshots.find(snapshotId, context);
  if (stored === undefined) return;
  mustHaveNoReaders(stored.value);
  // A create whose answer never came is finished first: CSI removes by id alone.
  if (stored.value.csiId === undefined) stored = await cut(engine, stored, context);
  await remove(engine, stored, context);
}

/** Removes a snapshot for good. From the first moment on it is not there any more: the driver's may be gone when the record is not yet. */
async function remove(engine: VolumeEngine, stored: Stored<SnapshotRecord>, context: OperationContext): Promise<void> {
  const { catalog, driver } = engine;
  const { value } = stored;
  const marked =
    value.deleting === true ? stored : await catalog.snapshots.update(stored, { ...value, deleting: true }, context);
  try {
    await driver.removeSnapshot(value.csiId as string, context);
  } catch (error) {
    // Only what the driver refuses is undone: with any other failure the snapshot may be gone already.
    if (isVdcError(error, "FAILED_PRECONDITION")) {
      await catalog.snapshots.update(marked, { ...value, deleting: undefined }, context);
    }
    throw error;
  }
  await catalog.snapshots.remove(marked, context);
  // It may have been the last that kept a volume which a revert has replaced.
  const volume = await catalog.volumes.find(value.volumeId, context);
  if (volume !== undefined && volume.value.retired.length > 0) await engine.removeRetired(volume, context);
}

/** Finishes deletes of snapshots that a kill has cut short. What the driver refuses now stays for the next time. */
export async function sweepSnapshots(engine: VolumeEngine, logger: Logger, context: OperationContext): Promise<void> {
  for (const stored of await engine.catalog.snapshots.all(context)) {
    if (stored.value.deleting !== true) continue;
    try {
      await remove(engine, stored, context);
    } catch (error) {
      const { snapshotId, name } = stored.value;
      logger.warn("an unfinished snapshot could not be removed yet", { snapshotId, name, error: String(error) });
      // A driver that is away is not asked again for each snapshot: opening must not wait for it.
      if (isVdcError(error, "UNAVAILABLE") || isVdcError(error, "DEADLINE_EXCEEDED")) return;
    }
  }
}

/** Has the driver take a snapshot that is on record, or tell of the one that it took. */
async function cut(
  { driver, catalog }: VolumeEngine,
  stored: Stored<SnapshotRecord>,
  context: OperationContext,
): Promise<Stored<SnapshotRecord>> {
  let made: CsiSnapshot;
  try {
    made = await driver.makeSnapshot(stored.value, context);
  } catch (error) {
    if (isFinal(error)) await catalog.snapshots.remove(stored, context);
    throw error;
  }
  const { creationTime, sizeBytes } = made;
  return catalog.snapshots.update(
    stored,
    {
      ...stored.value,
      csiId: made.snapshotId,
      ready: made.readyToUse,
      capacityBytes: Math.max(stored.value.capacityBytes, sizeBytes),
      createdAt: creationTime === undefined ? stored.value.createdAt : timeOf(creationTime),
    },
    context,
  );
}

function timeOf({ seconds, nanos }: { readonly seconds: number; readonly nanos: number }): number {
  return Math.max(0, seconds * 1_000 + Math.floor(nanos / 1e6));
}

/** A snapshot that was not ready is asked for again. */
async function refreshed(
  { driver, catalog }: VolumeEngine,
  stored: Stored<SnapshotRecord>,
  context: OperationContext,
): Promise<Stored<SnapshotRecord>> {
  const { ready, csiId } = stored.value;
  if (ready || csiId === undefined) return stored;
  const now = await driver.findSnapshot(csiId, context);
  if (now?.readyToUse !== true) return stored;
  return catalog.snapshots.update(stored, { ...stored.value, ready: true }, context);
}

async function listSnapshots(
  { catalog }: VolumeEngine,
  { limit = 100, pageToken, volumeId, ownerDatacenter, name }: Input<"listSnapshots">,
  context: OperationContext,
): Promise<Page<Snapshot>> {
  const matches = (record: SnapshotRecord): boolean =>
    isSnapshotThere(record) &&
    (volumeId === undefined || record.volumeId === volumeId) &&
    (ownerDatacenter === undefined || record.owner?.datacenter === ownerDatacenter);
  if (name !== undefined) {
    const found = await catalog.snapshots.findByName(name, context);
    return { items: found !== undefined && matches(found.value) ? [toSnapshot(found.value)] : [] };
  }
  const { records, nextPageToken } = await catalog.snapshots.page({ limit, pageToken }, context);
  const items = records.filter(matches).map(toSnapshot);
  return nextPageToken === undefined ? { items } : { items, nextPageToken };
}

async function ofVolume(
  { catalog }: VolumeEngine,
  { volumeId, snapshotId }: { readonly volumeId: string; readonly snapshotId: string },
  context: OperationContext,
): Promise<SnapshotRecord> {
  await catalog.volume(volumeId, context);
  const { value } = await catalog.snapshot(snapshotId, context);
  if (value.volumeId === volumeId) return value;
  throw new VdcError("NOT_FOUND", `volume '${volumeId}' has no snapshot '${snapshotId}'`);
}

function blockersOf({ owner }: VolumeRecord): readonly ObjectReference[] {
  return owner === undefined ? [] : [{ kind: "Host", name: owner.publication.host }];
}

/**
 * CSI has no revert. A new volume of the driver's is made of the snapshot and put in the place of the old one, which is deleted as soon as the driver lets it go: it
 * may be kept by its snapshots. The id and the name stay.
 */
async function revert(
  engine: VolumeEngine,
  input: { readonly volumeId: string; readonly snapshotId: string },
  context: OperationContext,
): Promise<void> {
  const { catalog, driver, config } = engine;
  const snapshot = await ofVolume(engine, input, context);
  const stored = await catalog.volume(input.volumeId, context);
  const { value } = stored;
  const blockers = blockersOf(value);
  if (blockers.length > 0) {
    throw new VdcError("FAILED_PRECONDITION", `volume '${value.name}' is attached: detach it before a revert`, {
      blockers,
    });
  }
  const reverts = (value.reverts ?? 0) + 1;
  // The name belongs to this revert: one that was cut short is repeated under the same, and makes the same volume.
  const csiName = `vdc-${snapshot.snapshotId}-${reverts}`;
  const csiSource = { kind: "snapshot" as const, csiId: snapshot.csiId as string };
  const made = await driver.makeVolume(
    {
      csiName,
      capacityBytes: snapshot.capacityBytes,
      parameters: { ...config.parameters, ...value.request.parameters },
      source: { snapshot: { snapshotId: csiSource.csiId } },
      topologies: await engine.topologies(value.request.accessibleHosts, context),
    },
    context,
  );
  const reverted = await catalog.volumes.update(
    stored,
    {
      ...value,
      reverts,
      backing: { csiName, csiId: made.volumeId, csiSource, volumeContext: { ...made.volumeContext } },
      capacityBytes: made.capacityBytes === 0 ? snapshot.capacityBytes : made.capacityBytes,
      retired: [...value.retired, value.backing.csiId as string],
    },
    context,
  );
  await engine.removeRetired(reverted, context);
}

/** A snapshot as the contract has it. What deleting it gives back, CSI does not say. */
function toSnapshot({ snapshotId, name, volumeId, capacityBytes, createdAt, ready, owner }: SnapshotRecord): Snapshot {
  const facts = { snapshotId, name, volumeId, capacityBytes, exclusiveBytes: 0, createdAt, ready };
  return owner === undefined ? facts : { ...facts, owner };
}
