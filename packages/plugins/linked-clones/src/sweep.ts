import { isVdcError, type OperationContext } from "@vdc-os/core";
import type { CloneEngine } from "./clone-engine.ts";
import type { PendingRecord } from "./clone-record.ts";
import { isStillRead } from "./collector.ts";
import type { GroupSnapshots } from "./group-snapshots.ts";
import { sweepTickets } from "./name-tickets.ts";
import { deleteRecord } from "./record-store.ts";

/**
 * Finishes or undoes what a kill left. Costs what was begun, and what is kept for others; and, where volumes were being made since the last proper
 * end, one list of the volumes underneath.
 */
export async function sweep(engine: CloneEngine, groups: GroupSnapshots): Promise<void> {
  const { catalog, snapshots, logger, operation } = engine.services;
  const context = operation();
  await sweepTickets(engine.services, context);
  const pending = await catalog.pending(context);
  // Volumes first: a snapshot that one of them reads can be removed only after it.
  const ordered = [...pending].sort((a, b) => Number(isOfSnapshot(a.value)) - Number(isOfSnapshot(b.value)));
  for (const { key, value } of ordered) {
    try {
      await settle(engine, groups, { key, value }, context);
    } catch (error) {
      // Something underneath still needs it, or is busy: it is tried again at the next start.
      if (!isStillRead(error) && !isVdcError(error, "UNIMPLEMENTED")) throw error;
      logger.warn("what was begun could not be finished yet", {
        kind: value.kind,
        key,
        error: String(error),
      });
    }
  }
  for (const snapshotId of await snapshots.kept(context)) {
    const parentVolumeId = (await snapshots.find(snapshotId, context))?.value.volumeId;
    await engine.collector.collect({ parentVolumeId, parentSnapshotId: snapshotId });
  }
  for (const volumeId of await catalog.tombstones(context)) {
    await engine.collector.collect({ parentVolumeId: volumeId });
  }
}

async function settle(
  engine: CloneEngine,
  groups: GroupSnapshots,
  { key, value }: { readonly key: string; readonly value: PendingRecord },
  context: OperationContext,
): Promise<void> {
  const { catalog, snapshots, records } = engine.services;
  const forget = (): Promise<void> => records.commit([], [deleteRecord(key)], context);
  switch (value.kind) {
    case "create":
      return engine.maker.undo(value.name, value.baseName);
    case "createSnapshot":
      return engine.moments.undo(value.baseName, value.name);
    case "createGroup":
      return groups.finish(value.name);
    case "deleteGroup":
      return groups.finishDelete(value.groupSnapshotId);
    case "deleteSnapshot": {
      const record = (await snapshots.find(value.snapshotId, context))?.value;
      if (record === undefined) return forget();
      await engine.collector.removeSnapshot(record, context);
      return engine.collector.collect({ parentVolumeId: record.volumeId });
    }
    case "flatten": {
      const record = (await catalog.find(value.volumeId, context))?.value;
      if (record === undefined) return forget();
      // What was not done yet lost nothing, and is asked for again.
      return engine.collector.collect(await engine.settleParent(record, key));
    }
    case "delete": {
      const record = (await catalog.find(value.volumeId, context))?.value;
      if (record === undefined) return forget();
      await engine.collector.removeVolume(record, [], context);
      return engine.collector.collect(record);
    }
  }
}

function isOfSnapshot({ kind }: PendingRecord): boolean {
  return kind.endsWith("Snapshot") || kind.endsWith("Group");
}
