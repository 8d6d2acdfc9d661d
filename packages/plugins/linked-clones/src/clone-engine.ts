import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import { toldToCaller } from "./callers-words.ts";
import type { CloneRecord, CloneRequest, ParentLink } from "./clone-record.ts";
import type { CloneServices, KnownVolume } from "./clone-services.ts";
import { Collector } from "./collector.ts";
import { Moments } from "./moments.ts";
import { deleteRecord, putRecord } from "./record-store.ts";
import { type NewCloneVolume, VolumeMaker } from "./volume-maker.ts";

/**
 * Makes and removes volumes in two places that no transaction spans: the provider underneath, and the state store. An intent, or for a new volume
 * the end of its name, is committed before the first side effect; the next start finishes or undoes what a kill left between the two.
 */
export class CloneEngine {
  readonly services: CloneServices;
  readonly collector: Collector;
  readonly moments: Moments;
  readonly maker: VolumeMaker;
  readonly #stop: AbortController = new AbortController();

  constructor(services: CloneServices) {
    this.services = services;
    this.collector = new Collector(services, this.#stop.signal);
    this.moments = new Moments(services, this.collector);
    this.maker = new VolumeMaker(services, this.collector, (record, context) => this.known(record, context));
  }

  /** Aborts when the provider is closed. */
  get closing(): AbortSignal {
    return this.#stop.signal;
  }

  /** Ends what is done of its own accord. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.collector.stopped();
    await this.maker.close();
  }

  /** The volume of a name, when it is there and is what is asked for. Throws `ALREADY_EXISTS` when it is something else. */
  present(name: string, request: CloneRequest, context: OperationContext): Promise<KnownVolume | undefined> {
    return this.maker.present(name, request, context);
  }

  /** Makes a volume, or returns the one of that name and request. */
  create(input: NewCloneVolume, context: OperationContext): Promise<KnownVolume> {
    return this.maker.create(input, context);
  }

  async known(record: CloneRecord, context: OperationContext): Promise<KnownVolume> {
    const volume = await this.services.base.find(record.volumeId, context);
    if (volume !== undefined) return { record, volume, keptForItBytes: await this.#keptFor(record, context) };
    throw new VdcError("NOT_FOUND", `there is no volume '${record.volumeId}' any more`, {
      reason: "VDC_NO_SUCH_VOLUME",
    });
  }

  /** Deletes a volume; one that has children is kept for them, under no name. Absent and tombstoned ones are a success. */
  async delete(volumeId: string, context: OperationContext): Promise<void> {
    const { catalog, snapshots, base, locks, records } = this.services;
    const seen = await catalog.find(volumeId, context);
    if (seen === undefined || seen.value.tombstoned) return;
    const parent = await locks.alone(volumeId, "delete", async (): Promise<ParentLink> => {
      const found = await catalog.find(volumeId, context);
      if (found === undefined || found.value.tombstoned) return {};
      const { value: record, revision } = found;
      const attachment = await base.attachment(volumeId, context);
      if (attachment !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' is attached to host '${attachment.host}'`, {
          reason: "VDC_VOLUME_ATTACHED",
          blockers: [{ kind: "host", name: attachment.host }],
        });
      }
      const shown = (await snapshots.ofVolume(volumeId, context)).filter(({ kept }) => kept !== true);
      if (shown.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' has ${shown.length} snapshots`, {
          reason: "VDC_VOLUME_HAS_SNAPSHOTS",
          blockers: shown.slice(0, 20).map(({ name }) => ({ kind: "snapshot", name })),
        });
      }
      const condition = { key: catalog.volumeKey(volumeId), revision };
      if (await this.collector.isHeld(volumeId, context)) {
        await records.commit(
          [condition],
          [
            putRecord(condition.key, { ...record, tombstoned: true }),
            putRecord(catalog.tombstoneKey(volumeId), {}),
            deleteRecord(catalog.nameKey(record.name)),
          ],
          context,
        );
        // Its last clone may have gone meanwhile.
        return { parentVolumeId: volumeId };
      }
      await toldToCaller(this.collector.removeVolume(record, [condition], context));
      return record;
    });
    await this.collector.collect(parent);
  }

  /** Copies into a linked clone what it shares, so that it stands alone. */
  async flatten(volumeId: string, context: OperationContext): Promise<KnownVolume> {
    const { catalog, base } = this.services;
    const seen = await catalog.get(volumeId, context);
    if (seen.value.parentVolumeId === undefined) return this.known(seen.value, context);
    const layering = await base.facet("layering", context);
    await this.parentMayGo(volumeId, "flatten", () => toldToCaller(layering.copyUp({ volumeId }, context)), context);
    return this.known((await catalog.get(volumeId, context)).value, context);
  }

  /**
   * Runs a change alone after which the volume may have no parent underneath any more, and records that; also when a kill comes between. Then
   * what was kept for it alone goes.
   */
  async parentMayGo<T>(
    volumeId: string,
    what: string,
    change: () => Promise<T>,
    context: OperationContext,
  ): Promise<T> {
    const { catalog, locks, records } = this.services;
    const { result, parent } = await locks.alone(volumeId, what, async () => {
      const { value, revision } = await catalog.get(volumeId, context);
      if (value.parentVolumeId === undefined) return { result: await change(), parent: {} };
      const pending = catalog.pendingKey(volumeId);
      const condition = { key: catalog.volumeKey(volumeId), revision };
      await records.commit([condition], [putRecord(pending, { kind: "flatten", volumeId })], context);
      let result: T;
      try {
        result = await change();
      } catch (error) {
        // Of one that was refused it is known what came of it. One that was given up may still end underneath: its record stays until the next change, or start.
        if (!mayStillEnd(error)) await this.settleParent(value, pending).catch(() => {});
        throw error;
      }
      return { result, parent: await this.settleParent(value, pending) };
    });
    await this.collector.collect(parent);
    return result;
  }

  /** Makes a record say what is true underneath: whether the volume has a parent. Returns the one that it has lost. */
  async settleParent(record: CloneRecord, pendingKey: string): Promise<ParentLink> {
    const { catalog, base, records, operation } = this.services;
    const { volumeId, parentVolumeId, parentSnapshotId, ...alone } = record;
    const context = operation();
    const volume = await base.find(volumeId, context);
    if (volume === undefined || volume.parent !== undefined || parentVolumeId === undefined) {
      await records.commit([], [deleteRecord(pendingKey)], context);
      return {};
    }
    await records.commit(
      [],
      [
        putRecord(catalog.volumeKey(volumeId), { volumeId, ...alone }),
        deleteRecord(pendingKey),
        deleteRecord(catalog.deepKey(volumeId)),
        ...catalog.unlink(volumeId, record),
      ],
      context,
    );
    return { parentVolumeId, parentSnapshotId };
  }

  /** What its parents that are kept for it alone take: it would be given back with it. */
  async #keptFor(record: CloneRecord, context: OperationContext): Promise<number> {
    const { catalog, snapshots, base } = this.services;
    let bytes = 0;
    for (let at = record; at.parentVolumeId !== undefined; ) {
      const { parentVolumeId: volumeId, parentSnapshotId: snapshotId } = at;
      const parent = (await catalog.find(volumeId, context))?.value;
      if (parent?.tombstoned !== true) return bytes;
      // While others read the volume itself, nothing below it goes.
      if (at === record && (await this.collector.isHeld(at.volumeId, context))) return bytes;
      const ofSnapshot = snapshotId === undefined ? 0 : await catalog.countChildren({ snapshotId }, 2, context);
      const held = (await snapshots.ofVolume(volumeId, context)).length;
      const direct = await catalog.countChildren({ volumeId }, 2, context);
      if (snapshotId === undefined ? direct + held > 1 : direct > 0 || held > 1 || ofSnapshot > 1) return bytes;
      bytes += (await base.find(volumeId, context))?.allocatedBytes ?? 0;
      at = parent;
    }
    return bytes;
  }
}

/** Whether what failed may still be under way underneath. */
function mayStillEnd(error: unknown): boolean {
  return ["CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"].some((code) => isVdcError(error) && error.code === code);
}
