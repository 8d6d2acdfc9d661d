import { isVdcError, type Logger, type OperationContext, type Random, toVdcError, VdcError } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import type { BaseStorage } from "./base-storage.ts";
import { type CloneCatalog, type Condition, deleteRecord, putRecord } from "./clone-catalog.ts";
import { assertSameRequest, type CloneRecord, type CloneRequest } from "./clone-record.ts";
import { VolumeLocks } from "./volume-locks.ts";

/** Options of {@link CloneEngine}. */
export interface CloneEngineOptions {
  readonly base: BaseStorage;
  readonly catalog: CloneCatalog;
  readonly logger: Logger;
  readonly random: Random;
  /** A context for what is done of the provider's own accord: undoing and collecting, also when the caller has left. */
  readonly operation: () => OperationContext;
}

/** A volume to be made. */
export interface NewCloneVolume {
  readonly name: string;
  readonly request: CloneRequest;
  /** What must still hold when the name is reserved. */
  readonly conditions?: readonly Condition[];
  /** The volume whose blocks it shares. */
  readonly parentVolumeId?: string | undefined;
  /** Makes it in the provider underneath, under a name that was never used. */
  make(baseName: string): Promise<Volume>;
}

/** A volume, as it is in the provider underneath and as it is known here. */
export interface KnownVolume {
  readonly record: CloneRecord;
  readonly volume: Volume;
}

/**
 * Makes and removes volumes in two places that no transaction spans: the provider underneath, and the state store. An intent is
 * committed before the first side effect and removed together with the record of the last; {@link CloneEngine.sweep} finishes or
 * undoes what a kill left between the two.
 */
export class CloneEngine {
  readonly base: BaseStorage;
  readonly catalog: CloneCatalog;
  readonly locks: VolumeLocks = new VolumeLocks();
  readonly #options: CloneEngineOptions;
  readonly #making = new Map<string, { readonly request: CloneRequest; readonly done: Promise<KnownVolume> }>();
  #collecting: Promise<void> = Promise.resolve();

  constructor(options: CloneEngineOptions) {
    this.base = options.base;
    this.catalog = options.catalog;
    this.#options = options;
  }

  /** The volume of a name, when it is there and is what is asked for. Throws `ALREADY_EXISTS` when it is something else. */
  async present(name: string, request: CloneRequest, context: OperationContext): Promise<KnownVolume | undefined> {
    for (let making = this.#making.get(name); making !== undefined; making = this.#making.get(name)) {
      assertSameRequest(name, making.request, request);
      const made = await making.done.catch(() => undefined);
      if (made !== undefined) return made;
    }
    const found = await this.catalog.name(name, context);
    if (found?.value.volumeId === undefined) return undefined;
    assertSameRequest(name, found.value.request, request);
    return this.known((await this.catalog.get(found.value.volumeId, context)).value, context);
  }

  /** Makes a volume, or returns the one of that name and request. */
  async create(input: NewCloneVolume, context: OperationContext): Promise<KnownVolume> {
    for (;;) {
      const present = await this.present(input.name, input.request, context);
      if (present !== undefined) return present;
      // Somebody else may have begun while the store was asked.
      if (!this.#making.has(input.name)) break;
    }
    const done = this.#make(input, context);
    this.#making.set(input.name, { request: input.request, done });
    try {
      return await done;
    } finally {
      this.#making.delete(input.name);
    }
  }

  /**
   * A context for a short call underneath that must be seen to its end: a caller that leaves is told so at once, while the provider underneath may go on,
   * and what it makes then nobody could undo.
   */
  steadily(): OperationContext {
    return this.#options.operation();
  }

  async known(record: CloneRecord, context: OperationContext): Promise<KnownVolume> {
    const volume = await this.base.find(record.volumeId, context);
    if (volume !== undefined) return { record, volume };
    throw new VdcError("NOT_FOUND", `there is no volume '${record.volumeId}' any more`, {
      reason: "VDC_NO_SUCH_VOLUME",
    });
  }

  /** Deletes a volume; one that has children is kept for them, under no name. Absent and tombstoned ones are a success. */
  async delete(volumeId: string, context: OperationContext): Promise<void> {
    const { catalog, base } = this;
    const seen = await catalog.find(volumeId, context);
    if (seen === undefined || seen.value.tombstoned) return;
    const parentVolumeId = await this.locks.alone(volumeId, "delete", async () => {
      const found = await catalog.find(volumeId, context);
      if (found === undefined || found.value.tombstoned) return undefined;
      const { value: record, revision } = found;
      const attachment = await base.attachment(volumeId, context);
      if (attachment !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' is attached to host '${attachment.host}'`, {
          reason: "VDC_VOLUME_ATTACHED",
          blockers: [{ kind: "host", name: attachment.host }],
        });
      }
      const condition = { key: catalog.volumeKey(volumeId), revision };
      if (await catalog.hasChildren(volumeId, context)) {
        await catalog.commit(
          [condition],
          [
            putRecord(condition.key, { ...record, tombstoned: true }),
            putRecord(catalog.tombstoneKey(volumeId), {}),
            deleteRecord(catalog.nameKey(record.name)),
          ],
          context,
        );
        return undefined;
      }
      await this.#remove(record, [condition], context);
      return record.parentVolumeId;
    });
    if (parentVolumeId !== undefined) await this.collect(parentVolumeId);
  }

  /** Copies into a linked clone what it shares, so that it stands alone. */
  async flatten(volumeId: string, context: OperationContext): Promise<KnownVolume> {
    const { catalog, base } = this;
    const seen = await catalog.get(volumeId, context);
    const { parentVolumeId } = seen.value;
    if (parentVolumeId === undefined) return this.known(seen.value, context);
    const layering = await base.facet("layering", context);
    const record = await this.locks.alone(volumeId, "flatten", async () => {
      const { value, revision } = await catalog.get(volumeId, context);
      if (value.parentVolumeId === undefined) return value;
      const pending = catalog.pendingKey(volumeId);
      const condition = { key: catalog.volumeKey(volumeId), revision };
      await catalog.commit([condition], [putRecord(pending, { kind: "flatten", volumeId })], context);
      try {
        await layering.copyUp({ volumeId }, context);
      } catch (error) {
        await this.#forget(pending);
        throw error;
      }
      await this.#detached(value, pending);
      const { parentVolumeId: _, ...alone } = value;
      return alone;
    });
    await this.collect(parentVolumeId);
    return this.known(record, context);
  }

  /** Removes a tombstoned volume without children, then perhaps its parent, and so on. Never rejects: the next sweep tries again. */
  collect(volumeId: string): Promise<void> {
    const collected = this.#collecting.then(() => this.#collect(volumeId));
    this.#collecting = collected.catch((error) => {
      this.#options.logger.warn("a tombstoned volume could not be removed yet", { volumeId, error: String(error) });
    });
    return this.#collecting;
  }

  /** Finishes or undoes what a kill left. Costs what was begun, not what there is. */
  async sweep(): Promise<void> {
    const { catalog, base } = this;
    const context = this.#options.operation();
    for (const { key, value } of await catalog.pending(context)) {
      if (value.kind === "create") {
        await this.#undo(value.name, value.baseName);
        continue;
      }
      const record = (await catalog.find(value.volumeId, context))?.value;
      if (record === undefined) {
        await this.#forget(key);
      } else if (value.kind === "flatten") {
        const volume = await base.find(value.volumeId, context);
        // The copy had ended, and only the record was not changed yet; else nothing was lost, and it is asked for again.
        if (volume !== undefined && volume.parent === undefined) await this.#detached(record, key);
        else await this.#forget(key);
        if (record.parentVolumeId !== undefined) await this.collect(record.parentVolumeId);
      } else {
        await this.#remove(record, [], context).catch((error) => {
          if (!isVdcError(error, "FAILED_PRECONDITION")) throw error;
        });
        if (record.parentVolumeId !== undefined) await this.collect(record.parentVolumeId);
      }
    }
    for (const volumeId of await catalog.tombstones(context)) await this.collect(volumeId);
  }

  async #make(input: NewCloneVolume, context: OperationContext): Promise<KnownVolume> {
    const { catalog } = this;
    const { name, request, parentVolumeId } = input;
    const nameKey = catalog.nameKey(name);
    const stale = await catalog.name(name, context);
    if (stale !== undefined) {
      // Begun by a call that failed and could not undo it.
      if (stale.value.volumeId !== undefined) throw busyName(name);
      await this.#undo(name, stale.value.baseName);
    }
    const baseName = `${name.slice(0, 48)}.${this.#options.random.uuid().replaceAll("-", "").slice(0, 12)}`;
    const pendingKey = catalog.pendingKey(baseName);
    if (context.signal.aborted) throw toVdcError(context.signal.reason);
    await catalog.commit(
      [{ key: nameKey, revision: 0 }, ...(input.conditions ?? [])],
      [putRecord(nameKey, { baseName, request }), putRecord(pendingKey, { kind: "create", name, baseName })],
      context,
    );
    try {
      const volume = await input.make(baseName);
      const record: CloneRecord = { volumeId: volume.volumeId, name, baseName, request, parentVolumeId };
      await catalog.commit(
        [],
        [
          putRecord(nameKey, { baseName, request, volumeId: volume.volumeId }),
          putRecord(catalog.volumeKey(volume.volumeId), record),
          ...(parentVolumeId === undefined ? [] : [putRecord(catalog.childKey(parentVolumeId, volume.volumeId), {})]),
          deleteRecord(pendingKey),
        ],
        // What was made is recorded, or undone: a caller that leaves now must not leave it in between.
        this.#options.operation(),
      );
      return { record, volume };
    } catch (error) {
      await this.#undo(name, baseName).catch((cause) => {
        this.#options.logger.warn("a volume that was begun could not be undone yet", { name, error: String(cause) });
      });
      throw error;
    }
  }

  async #undo(name: string, baseName: string): Promise<void> {
    const { catalog, base } = this;
    const context = this.#options.operation();
    const made = await base.findByName(baseName, context);
    const reserved = await catalog.name(name, context);
    const ours = reserved?.value.baseName === baseName;
    // It may be complete: then it was recorded, and only the answer was lost.
    if (ours && reserved.value.volumeId !== undefined) return this.#forget(catalog.pendingKey(baseName));
    if (made !== undefined) await base.handle.deleteVolume({ volumeId: made.volumeId }, context);
    await catalog.commit(
      [],
      [deleteRecord(catalog.pendingKey(baseName)), ...(ours ? [deleteRecord(catalog.nameKey(name))] : [])],
      context,
    );
  }

  async #remove(record: CloneRecord, conditions: readonly Condition[], context: OperationContext): Promise<void> {
    const { catalog, base } = this;
    const { volumeId, parentVolumeId } = record;
    const pending = catalog.pendingKey(volumeId);
    await catalog.commit(conditions, [putRecord(pending, { kind: "delete", volumeId })], context);
    try {
      await base.handle.deleteVolume({ volumeId }, context);
    } catch (error) {
      await this.#forget(pending);
      throw error;
    }
    await catalog.commit(
      [],
      [
        deleteRecord(pending),
        deleteRecord(catalog.volumeKey(volumeId)),
        // A tombstone's name may be another volume's by now.
        deleteRecord(record.tombstoned ? catalog.tombstoneKey(volumeId) : catalog.nameKey(record.name)),
        ...(parentVolumeId === undefined ? [] : [deleteRecord(catalog.childKey(parentVolumeId, volumeId))]),
      ],
      this.#options.operation(),
    );
  }

  /** Records that a volume shares blocks no more. */
  async #detached(record: CloneRecord, pendingKey: string): Promise<void> {
    const { catalog } = this;
    const { parentVolumeId, ...alone } = record;
    const { volumeId } = record;
    await catalog.commit(
      [],
      [
        putRecord(catalog.volumeKey(volumeId), alone),
        deleteRecord(pendingKey),
        ...(parentVolumeId === undefined ? [] : [deleteRecord(catalog.childKey(parentVolumeId, volumeId))]),
      ],
      this.#options.operation(),
    );
  }

  async #forget(pendingKey: string): Promise<void> {
    await this.catalog.commit([], [deleteRecord(pendingKey)], this.#options.operation());
  }

  async #collect(volumeId: string): Promise<void> {
    const { catalog } = this;
    const context = this.#options.operation();
    for (let at: string | undefined = volumeId; at !== undefined; ) {
      const record: CloneRecord | undefined = (await catalog.find(at, context))?.value;
      if (record?.tombstoned !== true || (await catalog.hasChildren(at, context))) return;
      await this.#remove(record, [], context);
      at = record.parentVolumeId;
    }
  }
}

function busyName(name: string): VdcError {
  return new VdcError("ABORTED", `volume '${name}' was made meanwhile: try again`, { reason: "VDC_VOLUME_BUSY" });
}
