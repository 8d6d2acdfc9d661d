import { type OperationContext, VdcError } from "@vdc-os/core";
import type { CreateOverlay, LayeringFacet, Volume } from "@vdc-os/core/storage/v1";
import { syncDirectory } from "@vdc-os/core/local";
import { backingFolder, createImageSync, Qcow2Image } from "@vdc-os/qcow2";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { assertVolumeSize } from "./create-request.ts";
import { imageName } from "./pool-layout.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import { volumeOf } from "./volume-of.ts";

/** How many images a read may go through: the engine stops at 256. */
export const maxDepth = 250;

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
    if (input.parent.kind !== "volume") throw new VdcError("UNIMPLEMENTED", "overlays are made of volumes alone");
    const parentVolumeId = input.parent.volumeId;
    assertNotCancelled(context);
    const parent = pool.catalog.get(parentVolumeId);
    try {
      const entry = await pool.catalog.create({
        volumeId: pool.random.uuid(),
        name,
        parentVolumeId,
        createdAt: pool.clock.now(),
        request: {
          kind: "overlay",
          parentVolumeId,
          // The parent's size never changes while it has overlays, so the default is what it was.
          capacityBytes: capacityBytes ?? parent.record.capacityBytes,
          owner,
          parameters: {},
          accessibleHosts: parent.record.request.accessibleHosts,
        },
        measure: () => this.#measure(parent, capacityBytes),
        write: async (path, virtualSizeBytes) => {
          const backing = { path: `../${parentVolumeId}/${imageName}`, format: "qcow2" } as const;
          createImageSync({ path, virtualSizeBytes, backing, durable: false });
          await syncDirectory(path);
        },
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
      const attaching = entry.changeIn("attachment");
      if (attaching !== undefined) {
        throw new VdcError("ABORTED", `volume '${name}' is busy with ${attaching}: try again`, {
          reason: "VDC_VOLUME_BUSY",
        });
      }
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
        });
      }
      pool.assertCanPromise(0);
      await pool.catalog.update(entry, (record) => ({ ...record, changing: true }));
      try {
        if (attachment === undefined) await this.#copyUpHere(entry, context);
        else await this.#copyUpThere(entry, attachment.host, context);
      } catch (error) {
        await pool.catalog.update(entry, (record) => ({ ...record, changing: undefined }));
        throw storageFailure(error, `copying up volume '${name}'`);
      }
      await pool.catalog.update(entry, (record) => ({ ...record, changing: undefined, parentVolumeId: undefined }));
    });
    return volumeOf(pool, entry);
  }

  #measure(parent: VolumeEntry, asked: number | undefined): number {
    const pool = this.#pool;
    const { record } = parent;
    const { attachment, name } = record;
    const capacityBytes = asked ?? record.capacityBytes;
    assertVolumeSize(capacityBytes);
    if (capacityBytes < record.capacityBytes) {
      throw new VdcError(
        "OUT_OF_RANGE",
        `an overlay of volume '${name}' has at least its ${record.capacityBytes} bytes: ${capacityBytes} is refused`,
      );
    }
    if (attachment?.access === "readWrite") {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${name}' is attached for writing to host '${attachment.host}', and a parent must not change`,
        { reason: "VDC_VOLUME_ATTACHED", blockers: [{ kind: "host", name: attachment.host }] },
      );
    }
    const busy = parent.changeIn("content") ?? parent.changeIn("attachment");
    if (busy !== undefined) {
      throw new VdcError("ABORTED", `volume '${name}' is busy with ${busy}: try again`, { reason: "VDC_VOLUME_BUSY" });
    }
    let depth = 2;
    for (let at = record.parentVolumeId; at !== undefined; at = pool.catalog.find(at)?.record.parentVolumeId) depth++;
    if (depth > maxDepth) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `a chain of ${depth} images is too deep: copy volume '${name}' up first`,
        {
          reason: "VDC_CHAIN_TOO_DEEP",
          details: { depth, maxDepth },
        },
      );
    }
    pool.assertCanPromise(capacityBytes);
    return capacityBytes;
  }

  async #copyUpHere(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { layout } = this.#pool;
    await using image = await Qcow2Image.open(layout.image(entry.volumeId), {
      resolveBacking: backingFolder(layout.volumes),
    });
    await image.flatten({
      signal: context.signal,
      onProgress: ({ doneBytes, totalBytes }) =>
        context.progress({ fraction: doneBytes / totalBytes, message: "copying blocks up" }),
    });
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
