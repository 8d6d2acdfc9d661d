import { rm } from "node:fs/promises";
import { type OperationContext, VdcError } from "@vdc-os/core";
import type { ChangedBlocksFacet, Checkpoint, Extent } from "@vdc-os/core/storage/v1";
import { readBootId, syncDirectory } from "@vdc-os/core/local";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { ChangeBitmap } from "./change-bitmap.ts";
import { type ChangedRange, rangesOf } from "./changed-ranges.ts";
import { servedWriter } from "./layer-changes.ts";
import type { CheckpointRecord } from "./snapshot-record.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** How many checkpoints a volume may have. */
export const maxCheckpoints = 16;

interface RangePage {
  readonly ranges: readonly ChangedRange[];
  readonly next?: number | undefined;
}

/** Facet `changedBlocks`: a bitmap in a file of its own for each checkpoint, kept by the storage process that writes. */
export class ChangedBlocks implements ChangedBlocksFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async createCheckpoint(
    { volumeId, name }: { readonly volumeId: string; readonly name: string },
    context: OperationContext,
  ): Promise<{ readonly checkpoint: string }> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const { catalog, layout } = pool;
    const entry = catalog.get(volumeId);
    return entry.change(["tracking"], "createCheckpoint", async () => {
      const { checkpoints = [], attachment, name: volumeName } = entry.record;
      if (attachment?.mode === "direct" && attachment.access === "readWrite") {
        throw new VdcError("FAILED_PRECONDITION", `volume '${volumeName}' is written by its VM monitor itself`, {
          reason: "VDC_VOLUME_ATTACHED",
          blockers: [{ kind: "host", name: attachment.host }],
        });
      }
      let checkpoint = checkpoints.find((present) => present.name === name)?.checkpoint;
      if (checkpoint === undefined) {
        if (checkpoints.length >= maxCheckpoints) {
          throw new VdcError("RESOURCE_EXHAUSTED", `volume '${volumeName}' has ${checkpoints.length} checkpoints`, {
            reason: "VDC_TOO_MANY_CHECKPOINTS",
            details: { maxCheckpoints },
          });
        }
        const made: CheckpointRecord = { checkpoint: pool.random.uuid(), name, createdAt: pool.clock.now() };
        try {
          ChangeBitmap.create(layout.changes(volumeId, made.checkpoint), entry.record.capacityBytes);
          await syncDirectory(layout.volume(volumeId));
        } catch (error) {
          await rm(layout.changes(volumeId, made.checkpoint), { force: true });
          throw storageFailure(error, `a checkpoint of volume '${volumeName}'`);
        }
        await catalog.update(entry, (record) => ({ ...record, checkpoints: [...(record.checkpoints ?? []), made] }));
        checkpoint = made.checkpoint;
      }
      // Whoever serves it later reads the record; who serves it already is told.
      await pool.refresh(entry, context);
      return { checkpoint };
    });
  }

  async listCheckpoints(
    { volumeId }: { readonly volumeId: string },
    _context: OperationContext,
  ): Promise<readonly Checkpoint[]> {
    const { catalog, layout } = this.#pool;
    const { checkpoints = [] } = catalog.get(volumeId).record;
    return checkpoints.map(({ checkpoint, name, createdAt }) => ({
      checkpoint,
      name,
      createdAt,
      intact: isIntact(layout.changes(volumeId, checkpoint)),
    }));
  }

  async deleteCheckpoint(
    { volumeId, checkpoint }: { readonly volumeId: string; readonly checkpoint: string },
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    const { catalog, layout } = this.#pool;
    const entry = catalog.get(volumeId);
    if (entry.record.checkpoints?.some((present) => present.checkpoint === checkpoint) !== true) return;
    await entry.change(["tracking"], "deleteCheckpoint", async () => {
      await catalog.update(entry, (record) => {
        const rest = record.checkpoints?.filter((present) => present.checkpoint !== checkpoint) ?? [];
        return { ...record, checkpoints: rest.length === 0 ? undefined : rest };
      });
      // A process that is not reached writes on into a file without a name, until it reads the record again.
      await this.#pool.refresh(entry, context).catch(() => {});
      await rm(layout.changes(volumeId, checkpoint), { force: true });
    });
  }

  async *changedExtents(
    {
      volumeId,
      since,
      startingOffset = 0,
    }: { readonly volumeId: string; readonly since: string; readonly startingOffset?: number },
    context: OperationContext,
  ): AsyncIterable<Extent> {
    const { catalog, layout } = this.#pool;
    const entry = catalog.get(volumeId);
    const { checkpoints = [], name } = entry.record;
    if (!checkpoints.some(({ checkpoint }) => checkpoint === since)) {
      throw new VdcError("NOT_FOUND", `volume '${name}' has no checkpoint '${since}'`, {
        reason: "VDC_NO_SUCH_CHECKPOINT",
      });
    }
    if (!isIntact(layout.changes(volumeId, since))) {
      throw new VdcError("FAILED_PRECONDITION", `changes of volume '${name}' went past checkpoint '${since}'`, {
        reason: "VDC_TRACKING_BROKEN",
      });
    }
    yield* this.#extents(entry, { since, startingOffset }, context);
  }

  async *allocatedExtents(
    { volumeId, startingOffset = 0 }: { readonly volumeId: string; readonly startingOffset?: number },
    context: OperationContext,
  ): AsyncIterable<Extent> {
    yield* this.#extents(this.#pool.catalog.get(volumeId), { since: undefined, startingOffset }, context);
  }

  async *#extents(
    entry: VolumeEntry,
    { since, startingOffset }: { readonly since: string | undefined; readonly startingOffset: number },
    context: OperationContext,
  ): AsyncIterable<Extent> {
    const { capacityBytes, name } = entry.record;
    if (startingOffset > capacityBytes) {
      throw new VdcError("OUT_OF_RANGE", `volume '${name}' ends at ${capacityBytes}, before ${startingOffset}`);
    }
    for (let at: number | undefined = startingOffset; at !== undefined; ) {
      assertNotCancelled(context);
      const page: RangePage = await this.#page(entry, since, at, context);
      yield* page.ranges;
      at = page.next;
    }
  }

  async #page(
    entry: VolumeEntry,
    since: string | undefined,
    offset: number,
    context: OperationContext,
  ): Promise<RangePage> {
    const { processes, layout, images } = this.#pool;
    await entry.persist();
    const { volumeId, record } = entry;
    const writer = servedWriter(record);
    if (writer !== undefined) {
      const params = { ...writer.owner, offset, ...(since === undefined ? {} : { checkpoint: since }) };
      return (await processes.request(writer.host, "ranges", params, context)) as unknown as RangePage;
    }
    const bitmap = since === undefined ? undefined : ChangeBitmap.open(layout.changes(volumeId, since));
    try {
      bitmap?.settle(await readBootId());
      await using image = await images.open(entry, { readOnly: true, lock: false }, context);
      return rangesOf(image, bitmap, offset);
    } catch (error) {
      throw storageFailure(error, `reading the map of volume '${record.name}'`);
    } finally {
      bitmap?.close();
    }
  }
}

function isIntact(path: string): boolean {
  try {
    const bitmap = ChangeBitmap.open(path);
    bitmap.close();
    return bitmap.isIntact;
  } catch {
    return false;
  }
}
