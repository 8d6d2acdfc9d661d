import { chmod } from "node:fs/promises";
import { type OperationContext, VdcError } from "@vdc-os/core";
import type { CreateOverlay, LayeringFacet, Volume, VolumeSource } from "@vdc-os/core/storage/v1";
import { type CopyOptions, inspect } from "@vdc-os/qcow2";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { assertVolumeSize } from "./create-request.ts";
import { assertDepth, chainDepth } from "./chain-depth.ts";
import { encryptedImage } from "./encrypted-image.ts";
import type { NewVolumeEncryption } from "./key-resolver.ts";
import { assertAttachmentSettled, servedOwner } from "./layer-changes.ts";
import { lowestLayerOf } from "./layer-tree.ts";
import { imageName, layerName } from "./pool-layout.ts";
import { readersOf } from "./readers-of.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import { volumeOf } from "./volume-of.ts";

/** How often the storage process is asked how far a copy has come, in milliseconds. */
const progressIntervalMs = 500;

/** Facet `layering`: an overlay is a qcow2 image that names its parent's as its backing file. */
export class Layering implements LayeringFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async createOverlay(input: CreateOverlay, context: OperationContext): Promise<Volume> {
    const pool = this.#pool;
    const { name, owner, capacityBytes } = input;
    assertNotCancelled(context);
    const { parent, parentSnapshotId, parentBytes } = this.#parentOf(input.parent);
    const parentVolumeId = parent.volumeId;
    try {
      const entry = await pool.catalog.create({
        volumeId: pool.random.uuid(),
        name,
        parentVolumeId,
        parentSnapshotId,
        createdAt: pool.clock.now(),
        request: {
          kind: "overlay",
          parentVolumeId,
          parentSnapshotId,
          // The size of a parent never changes while it has overlays, and that of a snapshot never does, so the default is what it was.
          capacityBytes: capacityBytes ?? parentBytes,
          owner,
          parameters: {},
          accessibleHosts: parent.record.request.accessibleHosts,
        },
        measure: () => this.#measure(input, parent, capacityBytes ?? parentBytes),
        ...encryptedImage(encryptionOfOverlay(pool, parent, context), {
          backing: {
            path: `../${parentVolumeId}/${parentSnapshotId === undefined ? imageName : layerName(parentSnapshotId)}`,
            format: "qcow2",
          },
        }),
      });
      return volumeOf(pool, entry);
    } catch (error) {
      throw storageFailure(error, `creating overlay '${name}'`);
    }
  }

  async copyUp({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    const pool = this.#pool;
    const entry = pool.catalog.get(volumeId);
    const { name } = entry.record;
    assertNotCancelled(context);
    if (entry.record.parentVolumeId === undefined) return volumeOf(pool, entry);
    await entry.change(["content"], "copyUp", async () => {
      assertAttachmentSettled(entry);
      await pool.layers.settle(entry, context);
      const { attachment } = entry.record;
      if (attachment !== undefined && (attachment.mode === "direct" || attachment.access === "readOnly")) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached ${attachment.access}, ${attachment.mode}: it is copied up while detached, or served for writing`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      if (entry.isParent) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has overlays, which read through it`, {
          reason: "VDC_VOLUME_IS_PARENT",
          blockers: childrenOf(entry, pool.catalog),
        });
      }
      pool.assertCanPromise(0);
      await pool.catalog.update(entry, (record) => ({ ...record, changing: true }));
      try {
        const lowest = lowestLayerOf(entry.record);
        if (lowest !== undefined) await this.#copyUpLayer(entry, lowest.snapshotId, context);
        else if (attachment === undefined) await this.#copyUpHere(entry, context);
        else await this.#copyUpThere(entry, attachment.host, context);
        // The parent is forgotten only when no image reads it.
        const path = lowest ? pool.layout.layer(volumeId, lowest.snapshotId) : pool.layout.image(volumeId);
        if ((await inspect(path)).backing !== undefined) throw new VdcError("INTERNAL", "the parent is still read");
      } catch (error) {
        await pool.catalog.update(entry, (record) => ({ ...record, changing: undefined }));
        throw storageFailure(error, `copying up volume '${name}'`);
      }
      await pool.catalog.update(entry, (record) => ({
        ...record,
        changing: undefined,
        parentVolumeId: undefined,
        parentSnapshotId: undefined,
      }));
    });
    return volumeOf(pool, entry);
  }

  /** The volume that an overlay is made of, or whose snapshot it is made of, and the size of that. */
  #parentOf(source: VolumeSource): {
    readonly parent: VolumeEntry;
    readonly parentSnapshotId: string | undefined;
    readonly parentBytes: number;
  } {
    const { catalog } = this.#pool;
    if (source.kind === "volume") {
      const parent = catalog.get(source.volumeId);
      return { parent, parentSnapshotId: undefined, parentBytes: parent.record.capacityBytes };
    }
    const found = catalog.snapshots.find(source.snapshotId);
    if (found === undefined) {
      throw new VdcError("NOT_FOUND", `there is no snapshot '${source.snapshotId}' in this pool`, {
        reason: "VDC_NO_SUCH_SNAPSHOT",
      });
    }
    const { entry, snapshot } = found;
    return { parent: entry, parentSnapshotId: snapshot.snapshotId, parentBytes: snapshot.capacityBytes };
  }

  #measure({ parent: source }: CreateOverlay, parent: VolumeEntry, capacityBytes: number): number {
    const pool = this.#pool;
    const { attachment, name } = parent.record;
    // Since the call began, its name may have been waited for.
    const { parentSnapshotId, parentBytes } = this.#parentOf(source);
    assertVolumeSize(capacityBytes);
    if (capacityBytes < parentBytes) {
      throw new VdcError(
        "OUT_OF_RANGE",
        `an overlay of volume '${name}' has at least its ${parentBytes} bytes: ${capacityBytes} is refused`,
      );
    }
    // A snapshot never changes, whatever is done with its volume.
    if (parentSnapshotId === undefined) {
      if (attachment?.access === "readWrite") {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached for writing to host '${attachment.host}', and a parent must not change: take a snapshot, and make the overlay of that`,
          { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
        );
      }
      const busy = parent.changeIn("content") ?? parent.changeIn("attachment");
      if (busy !== undefined) {
        throw new VdcError("ABORTED", `volume '${name}' is busy with ${busy}: try again`, {
          reason: "VDC_VOLUME_BUSY",
        });
      }
    }
    assertDepth(chainDepth(pool.catalog, parent, parentSnapshotId) + 1, name);
    pool.assertCanPromise(capacityBytes);
    return capacityBytes;
  }

  /**
   * The lowest layer never changes what it reads as, so that it can be filled while others read it. They have the parent open until they open the layer
   * anew: the volume itself, and whatever is made of its snapshots.
   */
  async #copyUpLayer(entry: VolumeEntry, snapshotId: string, context: OperationContext): Promise<void> {
    const { images, layout } = this.#pool;
    this.#assertCanReopen(entry);
    const path = layout.layer(entry.volumeId, snapshotId);
    await chmod(path, 0o600);
    try {
      await using image = await images.open(entry, { snapshotId, lock: false }, context);
      await image.flatten(copyOptions(context));
    } finally {
      await chmod(path, 0o444);
    }
    this.#assertCanReopen(entry);
    await this.#reopenReaders(entry, context);
  }

  /** Throws `FAILED_PRECONDITION` where images are open that stay open as they are: a read snapshot's, and those that QEMU opened itself. */
  #assertCanReopen(entry: VolumeEntry): void {
    const blockers = [...readersOf(this.#pool.catalog, entry)].flatMap(({ record: { attachment, snapshots = [] } }) => [
      ...(attachment?.mode === "direct" ? [attachment.host] : []),
      ...snapshots.flatMap(({ readers = [] }) => readers.map(({ host }) => host)),
    ]);
    if (blockers.length === 0) return;
    throw new VdcError(
      "FAILED_PRECONDITION",
      `volume '${entry.record.name}' has snapshots that are being read, there or below a volume that is attached directly: it is copied up when that has ended`,
      { reason: "VDC_VOLUME_ATTACHED", blockers: [...new Set(blockers)].map((name) => ({ kind: "host", name })) },
    );
  }

  async #reopenReaders(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { catalog, processes } = this.#pool;
    for (const reader of readersOf(catalog, entry)) {
      const owner = servedOwner(reader.record);
      if (owner === undefined) continue;
      try {
        await processes.request(owner.host, "reopen", { ...owner.owner }, context);
      } catch (error) {
        // One that has ended meanwhile has closed its images.
        if (servedOwner(reader.record)?.owner.generation === owner.owner.generation) throw error;
      }
    }
  }

  async #copyUpHere(entry: VolumeEntry, context: OperationContext): Promise<void> {
    await using image = await this.#pool.images.open(entry, {}, context);
    await image.flatten(copyOptions(context));
  }

  /** The process that has the image open does it; meanwhile it is asked how far it is. */
  async #copyUpThere(entry: VolumeEntry, host: string, context: OperationContext): Promise<void> {
    const { processes, clock } = this.#pool;
    const finished = new AbortController();
    const copying = processes.request(host, "copyUp", { volumeId: entry.volumeId }, context);
    const report = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(progressIntervalMs, { signal: finished.signal });
        const status = (await processes.request(host, "status", {}, context)) as {
          readonly volumes: readonly { readonly volumeId: string; readonly copyUpFraction?: number }[];
        };
        const fraction = status.volumes.find(({ volumeId }) => volumeId === entry.volumeId)?.copyUpFraction;
        if (fraction !== undefined) context.progress({ fraction, message: "copying blocks up" });
      }
    };
    const reporting = report().catch(() => {});
    try {
      await copying;
    } finally {
      finished.abort();
      await reporting;
    }
  }
}

/** An overlay is encrypted with the key of what it is an overlay of, else with the pool's. */
function encryptionOfOverlay(
  { keys }: ThinPool,
  parent: VolumeEntry,
  context: OperationContext,
): (() => Promise<NewVolumeEncryption | undefined>) | undefined {
  if (parent.record.encryption === undefined && keys.defaultKeyRef === undefined) return undefined;
  return () => keys.forNewVolume(undefined, parent, context);
}

function copyOptions(context: OperationContext): CopyOptions {
  return {
    signal: context.signal,
    onProgress: ({ doneBytes, totalBytes }) =>
      context.progress({ fraction: doneBytes / totalBytes, message: "copying blocks up" }),
  };
}
