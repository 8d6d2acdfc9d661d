import type { NbdServer } from "@vdc-os/nbd";
import { type BackingResolver, Qcow2Image } from "@vdc-os/qcow2";
import { VdcError } from "@vdc-os/core";
import type { PoolLayout } from "../pool-layout.ts";
import { storageFailure } from "../storage-failure.ts";
import type { VolumeRecord } from "../volume-record.ts";
import type { VolumeKeys } from "../volume-keys.ts";
import type { ServerActivity } from "./flush-placement.ts";
import type { ServingMarks } from "./serving-marks.ts";

/** Options of {@link SnapshotExports}. */
export interface SnapshotExportsOptions {
  readonly layout: PoolLayout;
  readonly host: string;
  readonly nbd: NbdServer;
  readonly marks: ServingMarks;
  readonly resolveBacking: BackingResolver;
  readonly activity: ServerActivity;
}

/** The snapshots that are read on a host: exports named by the snapshot's id, which refuse writes. */
export class SnapshotExports {
  readonly #options: SnapshotExportsOptions;
  readonly #images = new Map<string, Qcow2Image>();

  constructor(options: SnapshotExportsOptions) {
    this.#options = options;
  }

  /** Serves a snapshot that its volume's record says is read here. Repeating it changes nothing. */
  async attach(record: VolumeRecord | undefined, snapshotId: string, keys: VolumeKeys): Promise<void> {
    const { layout, nbd, marks, resolveBacking, activity } = this.#options;
    if (record === undefined || !this.isReadHere(record, snapshotId)) {
      throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshotId}' is not read here`, { reason: "VDC_FENCED" });
    }
    if (this.#images.has(snapshotId)) return;
    const { volumeId } = record;
    let image: Qcow2Image;
    try {
      const path = layout.layer(volumeId, snapshotId);
      image = await Qcow2Image.open(path, {
        readOnly: true,
        resolveBacking,
        cacheBytes: 1024 * 1024,
        passphrase: keys.passphrase,
      });
    } catch (error) {
      throw storageFailure(error, `opening snapshot '${snapshotId}'`);
    }
    this.#images.set(snapshotId, image);
    marks.set({ volumeId, snapshotId });
    nbd.addExport({
      name: snapshotId,
      readOnly: true,
      backend: {
        sizeBytes: image.sizeBytes,
        readOnly: true,
        sharedFlush: true,
        sparseReads: true,
        read: (target, offset) => {
          activity.requests++;
          return image.readWithoutWaiting(target, offset);
        },
        write: () => {
          throw Object.assign(new Error("a snapshot does not change"), { code: "EPERM" });
        },
        flush: () => {},
        extents: (offset, length) => image.map(offset, length),
      },
    });
  }

  /** Whether a volume's record says that a snapshot is read on this host. */
  isReadHere(record: VolumeRecord | undefined, snapshotId: string): boolean {
    const snapshot = record?.snapshots?.find((candidate) => candidate.snapshotId === snapshotId);
    return snapshot?.readers?.some(({ host }) => host === this.#options.host) === true;
  }

  /** Ends it, with its connections. What is absent is no error. */
  async detach(volumeId: string, snapshotId: string): Promise<void> {
    const { nbd, marks } = this.#options;
    const image = this.#images.get(snapshotId);
    marks.clear({ volumeId, snapshotId });
    if (image === undefined) return;
    this.#images.delete(snapshotId);
    await nbd.removeExport(snapshotId);
    for (const connection of nbd.connections) if (connection.exportName === snapshotId) connection.destroy();
    await image.close();
  }

  async close(): Promise<void> {
    const images = [...this.#images.values()];
    this.#images.clear();
    await Promise.all(images.map((image) => image.close()));
  }
}
