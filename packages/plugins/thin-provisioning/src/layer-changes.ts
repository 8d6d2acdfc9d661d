import { type OperationContext, VdcError } from "@vdc-os/core";
import type { NewEncryption } from "@vdc-os/qcow2";
import { assertDepth, chainDepth, heightAbove } from "./chain-depth.ts";
import { LayerFiles, type NewActiveLayer } from "./layer-files.ts";
import type { KeyResolver } from "./key-resolver.ts";
import { withLayer } from "./layer-tree.ts";
import { layersBelow } from "./no-backing.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { storageFailure } from "./storage-failure.ts";
import type { StorageProcesses } from "./storage-processes.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeImages } from "./volume-images.ts";
import { clusterBytesOf, type VolumeRecord } from "./volume-record.ts";

/** How many layers one volume may have, with those that are not merged yet. */
export const maxSnapshots = 128;

/** Options of {@link LayerChanges}. */
export interface LayerChangesOptions {
  readonly catalog: VolumeCatalog;
  readonly processes: StorageProcesses;
  readonly images: VolumeImages;
  readonly keys: KeyResolver;
  /** Whether a group snapshot was taken whole. */
  readonly isGroupComplete: (groupSnapshotId: string) => boolean;
}

/** An attachment that a host's storage process serves. */
export interface ServedOwner {
  readonly host: string;
  readonly owner: { readonly volumeId: string; readonly generation: number };
}

/** The attachment that a storage process serves now. */
export function servedOwner({ attachment, volumeId }: VolumeRecord): ServedOwner | undefined {
  if (attachment?.mode !== "served" || attachment.ending) return undefined;
  return { host: attachment.host, owner: { volumeId, generation: attachment.generation } };
}

/** The attachment whose storage process writes the image now: what is changed then, that process changes. */
export function servedWriter(record: VolumeRecord): ServedOwner | undefined {
  return record.attachment?.access === "readWrite" ? servedOwner(record) : undefined;
}

/** Throws `ABORTED` when a volume's attachment is changing: a change of its content begins before or after that. */
export function assertAttachmentSettled(entry: VolumeEntry): void {
  const change = entry.changeIn("attachment") ?? (entry.record.attachment?.ending ? "detach" : undefined);
  if (change === undefined) return;
  throw new VdcError("ABORTED", `volume '${entry.record.name}' is busy with ${change}: try again`, {
    reason: "VDC_VOLUME_BUSY",
  });
}

/**
 * Changes of a volume's layers. The record says first what is begun, then the files change, in the hands of whoever has the image open, then the record says
 * that it is done. What was cut short in between is finished or undone before anything else is done with the volume.
 */
export class LayerChanges {
  readonly #options: LayerChangesOptions;

  constructor(options: LayerChangesOptions) {
    this.#options = options;
  }

  /** Throws what keeps a snapshot from being taken now. The caller holds the volume's content. */
  assertCanTake(entry: VolumeEntry): void {
    const { record } = entry;
    const { attachment, name, snapshots = [] } = record;
    assertAttachmentSettled(entry);
    if (attachment?.mode === "direct" && attachment.access === "readWrite") {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${name}' is attached directly on host '${attachment.host}': its VM monitor writes the file itself`,
        { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
      );
    }
    if (snapshots.length >= maxSnapshots) {
      throw new VdcError("RESOURCE_EXHAUSTED", `volume '${name}' has ${snapshots.length} snapshots already`, {
        reason: "VDC_TOO_MANY_SNAPSHOTS",
        details: { maxSnapshots },
      });
    }
    const { catalog } = this.#options;
    assertDepth(chainDepth(catalog, entry) + 1 + heightAbove(catalog, entry), name);
  }

  /** Writes down that a snapshot is begun. */
  async begin(entry: VolumeEntry, snapshot: SnapshotRecord): Promise<void> {
    await this.#options.catalog.update(entry, (record) => ({ ...record, pending: { kind: "snapshot", snapshot } }));
  }

  /** Changes the files for a snapshot that was begun. With a hold, its moment is one of that. */
  async switch(entry: VolumeEntry, context: OperationContext, holdId?: string): Promise<void> {
    const { processes, catalog } = this.#options;
    const { record } = entry;
    if (record.pending?.kind !== "snapshot") return;
    const writer = servedWriter(record);
    const next = this.#nextLayer(entry, record.pending.snapshot, context);
    const { snapshotId, clusterBytes } = next;
    if (writer !== undefined) {
      const hold = holdId === undefined ? {} : { holdId };
      const keys = (await this.#options.keys.keysOf(entry, context)).wire();
      const params = { ...writer.owner, snapshotId, clusterBytes, ...hold, ...(keys && { keys }) };
      await processes.request(writer.host, "snapshot", params, context);
      return;
    }
    const files = new LayerFiles(catalog.layout.volume(entry.volumeId));
    // What a crash left undone in the image is repaired while it can still be written.
    if (record.attachment === undefined && !entry.isParent) await this.#repair(entry, context);
    await files.prepare(next);
    await files.switch(snapshotId);
  }

  /** Takes a snapshot. The caller holds the volume's content, and has settled it. */
  async take(entry: VolumeEntry, snapshot: SnapshotRecord, context: OperationContext): Promise<void> {
    await this.begin(entry, snapshot);
    try {
      await this.switch(entry, context);
    } catch (error) {
      // Where it can be told at once that nothing happened, nothing is left behind.
      await this.settle(entry, context).catch(() => {});
      if (isThere(entry.record, snapshot.snapshotId)) return;
      throw storageFailure(error, `snapshot '${snapshot.name}'`);
    }
    await this.#commit(entry, snapshot);
  }

  /** Finishes or undoes what was begun and cut short. */
  async settle(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { catalog, processes } = this.#options;
    const { record } = entry;
    const { pending } = record;
    if (pending === undefined) return;
    const files = new LayerFiles(catalog.layout.volume(entry.volumeId));
    if (pending.kind === "revert") {
      await this.finishRevert(entry, context);
      return;
    }
    const { snapshot } = pending;
    const writer = servedWriter(record);
    let done: boolean;
    if (writer !== undefined) {
      const params = { ...writer.owner, snapshotId: snapshot.snapshotId };
      done = ((await processes.request(writer.host, "settle", params, context)) as { readonly done: boolean }).done;
    } else {
      if (record.attachment?.access === "readWrite") assertAttachmentSettled(entry);
      done = await files.settle(this.#nextLayer(entry, snapshot, context));
    }
    if (done) await this.#commit(entry, snapshot);
    else await catalog.update(entry, (old) => ({ ...old, pending: undefined }));
  }

  /** Does a revert that the record says was begun. May be repeated. */
  async finishRevert(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { catalog } = this.#options;
    const { pending, snapshots } = entry.record;
    if (pending?.kind !== "revert") return;
    const target = snapshots?.find(({ snapshotId }) => snapshotId === pending.snapshotId);
    if (target !== undefined) {
      const files = new LayerFiles(catalog.layout.volume(entry.volumeId));
      await files.revert(this.#nextLayer(entry, target, context));
    }
    await catalog.update(entry, (record) => ({
      ...record,
      pending: undefined,
      activeLayer: target?.snapshotId ?? record.activeLayer,
      capacityBytes: target?.capacityBytes ?? record.capacityBytes,
    }));
  }

  #nextLayer(
    entry: VolumeEntry,
    { snapshotId, capacityBytes }: SnapshotRecord,
    context: OperationContext,
  ): NewActiveLayer {
    const { keys } = this.#options;
    const { record } = entry;
    const encryption = async (): Promise<NewEncryption | undefined> =>
      record.encryption === undefined ? undefined : (await keys.keysOf(entry, context)).encryptionOf(record);
    return { snapshotId, capacityBytes, clusterBytes: clusterBytesOf(record), encryption };
  }

  async #repair(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const image = await this.#options.images.open(entry, { resolveBacking: layersBelow(0) }, context);
    await image.close();
  }

  async #commit(entry: VolumeEntry, snapshot: SnapshotRecord): Promise<void> {
    const { group } = snapshot;
    // A snapshot of a group that was not taken whole is none.
    const lost = group !== undefined && !this.#options.isGroupComplete(group);
    await this.#options.catalog.update(entry, (record) =>
      withLayer(record, lost ? { ...snapshot, deleted: true } : snapshot),
    );
  }
}

/** Whether a layer is one of a record. */
function isThere({ snapshots = [] }: VolumeRecord, snapshotId: string): boolean {
  return snapshots.some((snapshot) => snapshot.snapshotId === snapshotId);
}
