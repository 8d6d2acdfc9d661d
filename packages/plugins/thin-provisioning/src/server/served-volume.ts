import { VdcError } from "@vdc-os/core";
import { type BackingResolver, Qcow2Image } from "@vdc-os/qcow2";
import { exportNameOf } from "../export-name.ts";
import { type ChangedRange, rangesOf } from "../changed-ranges.ts";
import { LayerFiles } from "../layer-files.ts";
import { mergeLayer } from "../layer-merge.ts";
import type { PoolLayout } from "../pool-layout.ts";
import { dropZeroes } from "../reclaim-image.ts";
import { storageFailure } from "../storage-failure.ts";
import { clusterBytesOf, type VolumeRecord } from "../volume-record.ts";
import type { VolumeKeys } from "../volume-keys.ts";
import { ChangeTracking } from "./change-tracking.ts";
import { FencedError, GenerationFence } from "./generation-fence.ts";
import { ImageBackend } from "./image-backend.ts";
import type { ServerActivity } from "./flush-placement.ts";
import type { SpaceGuard } from "./space-guard.ts";

/** Options of {@link ServedVolume.open}. */
export interface ServedVolumeOptions {
  readonly layout: PoolLayout;
  readonly record: VolumeRecord;
  readonly resolveBacking: BackingResolver;
  /** What opens the volume's images. */
  readonly keys: VolumeKeys;
  readonly space: SpaceGuard | undefined;
  readonly activity: ServerActivity;
  readonly outOfSpace: "pause" | "fail";
}

/** A layer that is to be made of what a volume holds. */
export interface NewLayer {
  readonly snapshotId: string;
  readonly clusterBytes: number;
  readonly holdId: string | undefined;
  /** Of the volume as its record is now. */
  readonly keys: VolumeKeys;
}

/** Caches are per image of a chain, and a host serves many. */
const cacheBytes = 4 * 1024 * 1024;

/** How long until an image that could not be opened again is tried again, in milliseconds. */
const reopenMs = 200;

/** One attachment that is being served: the image, who may use it, and what is being done with it. */
export class ServedVolume {
  readonly volumeId: string;
  readonly generation: number;
  readonly exportName: string;
  readonly fence: GenerationFence;
  readonly backend: ImageBackend;
  readonly #options: ServedVolumeOptions;
  readonly #files: LayerFiles;
  readonly #tracking: ChangeTracking;
  readonly #forgetRoom: (() => void) | undefined;
  readonly #holds = new Map<string, NodeJS.Timeout>();
  #job: { readonly abort: AbortController; readonly done: Promise<unknown>; fraction: number } | undefined;
  #ending = false;
  #needsKey = false;

  private constructor(options: ServedVolumeOptions, image: Qcow2Image, generation: number) {
    const { layout, record } = options;
    this.#options = options;
    this.volumeId = record.volumeId;
    this.generation = generation;
    this.exportName = exportNameOf(record.volumeId, generation);
    this.fence = new GenerationFence(generation);
    this.#files = new LayerFiles(layout.volume(record.volumeId));
    this.#tracking = new ChangeTracking(layout, record.volumeId);
    const detectZeroes = record.request.parameters?.detectZeroes === "true";
    const { space, outOfSpace, activity } = options;
    this.backend = new ImageBackend({ image, detectZeroes, space, outOfSpace, activity });
    this.#forgetRoom = options.space?.onRoom(() => this.backend.parked.wake());
  }

  /** Opens a volume as its record says, after finishing what a kill cut short. */
  static async open(options: ServedVolumeOptions): Promise<ServedVolume> {
    const { layout, record, keys } = options;
    const { volumeId, pending, attachment } = record;
    try {
      if (pending?.kind === "snapshot" && attachment?.access === "readWrite") {
        const { snapshotId, capacityBytes } = pending.snapshot;
        const encryption = () => keys.encryptionOf(record);
        const next = { snapshotId, capacityBytes, clusterBytes: clusterBytesOf(record), encryption };
        await new LayerFiles(layout.volume(volumeId)).settle(next);
      }
      const volume = new ServedVolume(options, await openImage(options), attachment?.generation ?? 0);
      volume.refresh(record);
      return volume;
    } catch (error) {
      throw storageFailure(error, `opening volume '${volumeId}'`);
    }
  }

  get image(): Qcow2Image {
    return this.backend.image;
  }

  /** How far a copy has come, from 0 to 1. */
  get jobFraction(): number | undefined {
    return this.#job?.fraction;
  }

  /** Takes over what the record says of limits and checkpoints. */
  refresh(record: VolumeRecord): void {
    this.fence.throttle.set(record.qos ?? { iops: 0, bytesPerSecond: 0 });
    if (!this.backend.readOnly) this.backend.trackers = this.#tracking.follow(record.checkpoints ?? []);
  }

  /** Keeps writes waiting until the hold is released, used up by a snapshot, or its time is over. */
  hold(holdId: string, timeoutMs: number): void {
    this.release(holdId);
    this.backend.gate.claim(holdId, "writes");
    this.#holds.set(
      holdId,
      setTimeout(() => this.release(holdId), timeoutMs),
    );
  }

  release(holdId: string): void {
    clearTimeout(this.#holds.get(holdId));
    this.#holds.delete(holdId);
    this.backend.gate.release(holdId);
  }

  /** Makes what the volume holds now a layer, and goes on in a new image that is encrypted with these keys. With a hold: what it held since that. */
  async snapshot({ snapshotId, clusterBytes, holdId, keys }: NewLayer): Promise<void> {
    if (this.#files.isDone(snapshotId)) return;
    await this.#stopJob();
    const { gate } = this.backend;
    const encryption = () => keys.encryptionOf(this.#options.record);
    await this.#files.prepare({ snapshotId, capacityBytes: this.image.sizeBytes, clusterBytes, encryption });
    gate.claim("snapshot", "writes");
    try {
      if (holdId !== undefined && !this.#holds.has(holdId)) {
        throw new VdcError("ABORTED", `the hold on volume '${this.volumeId}' is over`, { reason: "VDC_HOLD_EXPIRED" });
      }
      // While this takes its time, reads go on. After it nothing is left in memory alone.
      await this.image.flush();
      gate.claim("snapshot", "all");
      await this.#exchange(() => this.#files.switch(snapshotId));
    } finally {
      gate.release("snapshot");
      if (holdId !== undefined) this.release(holdId);
    }
  }

  /** Whether a snapshot that was begun is there. What a kill cut short was finished or undone when the volume was opened. */
  isSnapshotDone(snapshotId: string): boolean {
    return this.#files.isDone(snapshotId);
  }

  /** Opens the chain of layers anew. */
  async reopen(): Promise<void> {
    const { gate } = this.backend;
    gate.claim("reopen", "writes");
    try {
      if (!this.image.readOnly) await this.image.flush();
      gate.claim("reopen", "all");
      await this.#exchange(async () => {});
    } finally {
      gate.release("reopen");
    }
  }

  /** Merges the layer directly below the image into it. */
  async merge(snapshotId: string, signal: AbortSignal): Promise<void> {
    await this.#stopJob();
    const layerPath = this.#options.layout.layer(this.volumeId, snapshotId);
    await this.#run(signal, async (options) => {
      // Layers further down may have been merged into that one since the chain was opened.
      await this.reopen();
      await mergeLayer(this.image, { snapshotId, layerPath, ...options });
    });
  }

  /** Copies into the image what it reads from below. */
  async copyUp(signal: AbortSignal): Promise<void> {
    if (this.#job !== undefined) {
      throw new VdcError("ABORTED", `volume '${this.volumeId}' is being copied up already`);
    }
    await this.#run(signal, ({ signal: either, onProgress }) =>
      this.image.flatten({
        signal: either,
        onProgress: ({ doneBytes, totalBytes }) => onProgress(doneBytes / totalBytes),
      }),
    );
  }

  /** Gives back what reads as zeroes. */
  async reclaim(signal: AbortSignal): Promise<void> {
    await this.#stopJob();
    await this.#run(signal, (options) => dropZeroes(this.image, options));
  }

  /** The keys by which images are opened again. */
  get keys(): VolumeKeys {
    return this.#options.keys;
  }

  /** Whether it waits for another key to open its images again. */
  get needsKey(): boolean {
    return this.#needsKey;
  }

  /** Changes the image from the volume's older keys to its newest, while it is written. Not with the keys that it has: those may be replaced meanwhile. */
  async rotateKey(keys: VolumeKeys): Promise<void> {
    await this.#stopJob();
    for (const change of keys.changesOf(this.volumeId)) await this.image.keys.change(change);
  }

  async resize(capacityBytes: number): Promise<void> {
    for (const tracker of this.backend.trackers) tracker.grow(capacityBytes);
    if (capacityBytes > this.image.sizeBytes) await this.image.resize(capacityBytes);
  }

  /** A page of what changed since a checkpoint, or of what is allocated. */
  ranges(checkpoint: string | undefined, startingOffset: number): { ranges: ChangedRange[]; next: number | undefined } {
    const tracker = checkpoint === undefined ? undefined : this.#tracking.get(checkpoint);
    return rangesOf(this.image, tracker, startingOffset);
  }

  /** Aborts what would make a revoke wait. */
  interrupt(): void {
    this.#ending = true;
    this.#job?.abort.abort();
  }

  /** Lets nothing wait any more. Called when nothing new comes. */
  stop(): void {
    this.interrupt();
    this.#forgetRoom?.();
    this.backend.parked.stop(new FencedError(`attachment generation ${this.generation} has ended`));
    for (const holdId of this.#holds.keys()) this.release(holdId);
  }

  /** Flushes and closes everything. */
  async close(): Promise<void> {
    this.stop();
    await this.#job?.done.catch(() => {});
    this.#tracking.close();
    await this.image.close();
  }

  /** Closes the image, changes the files, and opens what is there then. Nobody else uses the image meanwhile. */
  async #exchange(change: () => Promise<void>): Promise<void> {
    await this.image.close();
    const changed = await change().then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    // A full file system refuses even the claim on the image: requests wait until it does not.
    while (!(await this.#tryOpen())) await new Promise((resolve) => setTimeout(resolve, reopenMs));
    if (changed !== undefined) throw changed.error;
  }

  async #tryOpen(): Promise<boolean> {
    try {
      this.backend.image = await openImage(this.#options);
      this.#needsKey = false;
      return true;
    } catch (error) {
      this.#needsKey = storageFailure(error, "").code === "PERMISSION_DENIED";
      if (this.#ending) throw error;
      process.stderr.write(`volume ${this.volumeId} cannot be opened again yet: ${String(error)}\n`);
      return false;
    }
  }

  async #run(
    signal: AbortSignal,
    run: (options: { readonly signal: AbortSignal; readonly onProgress: (fraction: number) => void }) => Promise<void>,
  ): Promise<void> {
    const abort = new AbortController();
    if (this.#ending) abort.abort();
    const done = run({
      signal: AbortSignal.any([abort.signal, signal]),
      onProgress: (fraction) => {
        if (this.#job !== undefined) this.#job.fraction = fraction;
      },
    }).finally(() => {
      this.#job = undefined;
    });
    this.#job = { abort, done, fraction: 0 };
    await done;
  }

  async #stopJob(): Promise<void> {
    this.#job?.abort.abort();
    await this.#job?.done.catch(() => {});
  }
}

function openImage({ layout, record, resolveBacking, keys }: ServedVolumeOptions): Promise<Qcow2Image> {
  const readOnly = record.attachment?.access === "readOnly";
  // The guest does not hear of it when this process is killed: what it was told is written must be there all the same.
  const how = { readOnly, resolveBacking, cacheBytes, passphrase: keys.passphrase, journal: true };
  return Qcow2Image.open(layout.image(record.volumeId), how);
}
