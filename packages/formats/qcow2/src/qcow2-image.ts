import { layersFrom } from "./backing-layer.ts";
import type { BlockSource, Extent } from "./block-source.ts";
import type { CheckResult, LiveCheckOptions } from "./check.ts";
import { writeCompressed } from "./compressed-write.ts";
import type { CopyOptions } from "./copy-blocks.ts";
import { type DiskMap, mapTogether } from "./disk-map.ts";
import { flattenImage } from "./flatten.ts";
import type { BackingReference } from "./header.ts";
import type { NewBacking } from "./header-layout.ts";
import { ImageBitmaps } from "./image-bitmaps.ts";
import { type ImageCore, recordChange } from "./image-core.ts";
import { allocatedBytes, type ImageInfo, imageInfo } from "./image-info.ts";
import { ImageKeys } from "./image-keys.ts";
import { ImageSnapshots } from "./image-snapshots.ts";
import { checkLive, repairLive } from "./live-check.ts";
import { ImageLifetime } from "./image-lifetime.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { assertRange, mapImage, readImage } from "./read-path.ts";
import { readWithoutWaiting } from "./read-without-waiting.ts";
import type { RepairMode } from "./repair.ts";
import { type ResizeOptions, resizeImage } from "./resize.ts";
import { writeImage } from "./write-path.ts";
import { discard, writeZeroes } from "./zero-path.ts";

/**
 * An open qcow2 image and the chain below it.
 *
 * **Promise.** What was written before a `flush` that succeeded is there after a crash or power loss. Whatever the moment of the crash,
 * the image opens again without corruption; at most clusters leak, and the next opening for writing gives them back.
 *
 * Data moves synchronously, since a cached read or write costs far less that way; the promise forms exist so that callers can treat every
 * disk alike. Offsets and lengths are bytes and need no alignment. One object owns an image: use it from one thread.
 *
 * Errors of every method: `CLOSED`; of writing: `READ_ONLY`, `NO_SPACE`, `FAILED`, `CORRUPT`; of a range outside the disk: `OUT_OF_RANGE`.
 */
export class Qcow2Image implements BlockSource {
  readonly path: string;
  readonly readOnly: boolean;
  readonly #lifetime: ImageLifetime;
  readonly #core: ImageCore;
  /** Internal snapshots: list, create, delete, apply, open. */
  readonly snapshots: ImageSnapshots;
  /** Persistent dirty bitmaps. */
  readonly bitmaps: ImageBitmaps;
  /** The passphrases of an encrypted image. */
  readonly keys: ImageKeys;

  private constructor(lifetime: ImageLifetime) {
    const { core } = lifetime;
    this.path = core.file.path;
    this.readOnly = core.writer === undefined;
    this.#lifetime = lifetime;
    this.#core = core;
    const use = (): ImageCore => this.#use();
    this.snapshots = new ImageSnapshots(use);
    this.bitmaps = new ImageBitmaps(use);
    this.keys = new ImageKeys(use);
  }

  /**
   * Opens an image, for writing unless `readOnly`; the images below it are always opened for reading only.
   *
   * An image whose dirty bit is set, and one whose last writer crashed, are repaired first.
   * Errors: `NOT_FOUND`, `NOT_REGULAR_FILE`, `NOT_QCOW2`, `HEADER_INVALID`, `UNSUPPORTED_VERSION`, `UNSUPPORTED_FEATURE`, `ENCRYPTED`,
   * `WRONG_PASSPHRASE`, `CORRUPT`, `IN_USE`, `BACKING_REFUSED`, `BACKING_MISSING`, `BACKING_LOOP`, `BACKING_TOO_DEEP`.
   */
  static async open(path: string, options: OpenImageOptions = {}): Promise<Qcow2Image> {
    return new Qcow2Image(await ImageLifetime.open(path, options));
  }

  /** The size of the disk that the image holds. */
  get sizeBytes(): number {
    return this.#core.virtualSizeBytes;
  }

  get clusterSizeBytes(): number {
    return this.#core.geometry.clusterSize;
  }

  /** What `discard` gives back and what a small write allocates: a cluster, or a 32nd of it with extended L2 entries. */
  get subclusterSizeBytes(): number {
    return this.#core.geometry.subclusterSize;
  }

  /** What the header names as the image below, whether or not a resolver mapped it elsewhere. */
  get backing(): BackingReference | undefined {
    return this.#core.header.backing;
  }

  readSync(buffer: Uint8Array, offset: number): void {
    this.#assertOpen();
    assertRange(this.#core, offset, buffer.length);
    readImage(this.#core, buffer, offset);
  }

  /**
   * As `readSync` for what is in memory: returns nothing, and all is done. What is not there is read off the main thread, and a promise tells when;
   * until then `buffer` must be left alone. Where the system can't tell (see `readCachedSync` of a file), this is `readSync`.
   */
  readWithoutWaiting(buffer: Uint8Array, offset: number): Promise<void> | undefined {
    this.#assertOpen();
    assertRange(this.#core, offset, buffer.length);
    return readWithoutWaiting(this.#core, buffer, offset);
  }

  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.#assertOpen();
    assertRange(this.#core, offset, buffer.length);
    await readWithoutWaiting(this.#core, buffer, offset, true);
  }

  writeSync(buffer: Uint8Array, offset: number): void {
    this.#assertOpen();
    assertRange(this.#core, offset, buffer.length);
    recordChange(this.#core, offset, buffer.length);
    writeImage(this.#core, buffer, offset);
    this.#core.options.journal?.commit();
  }

  async write(buffer: Uint8Array, offset: number): Promise<void> {
    this.writeSync(buffer, offset);
  }

  /**
   * As `write`, for whole clusters (the last one may end with the disk), which are stored compressed where that makes them smaller. Writing
   * over them later stores them plainly. `buffer` must not change before this ends.
   * Errors besides those of `write`: `INVALID_ARGUMENT` for a part of a cluster, `UNSUPPORTED_FEATURE` with an external data file.
   */
  async writeCompressed(buffer: Uint8Array, offset: number): Promise<void> {
    // Again after each wait: the image may have been closed, made smaller, or given a new bitmap meanwhile.
    const begin = (): void => {
      this.#assertOpen();
      assertRange(this.#core, offset, buffer.length);
      recordChange(this.#core, offset, buffer.length);
    };
    begin();
    await writeCompressed(this.#core, buffer, offset, begin);
    this.#core.options.journal?.commit();
  }

  /** Makes a range read as zeros, giving the space of whole clusters back. */
  writeZeroesSync(offset: number, length: number): void {
    this.#assertOpen();
    assertRange(this.#core, offset, length);
    recordChange(this.#core, offset, length);
    writeZeroes(this.#core, offset, length);
    this.#core.options.journal?.commit();
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.writeZeroesSync(offset, length);
  }

  /** Gives the whole subclusters inside a range back, which then read as zeros. The rest of the range stays as it is. */
  discardSync(offset: number, length: number): void {
    this.#assertOpen();
    assertRange(this.#core, offset, length);
    recordChange(this.#core, offset, length);
    discard(this.#core, offset, length);
    this.#core.options.journal?.commit();
  }

  async discard(offset: number, length: number): Promise<void> {
    this.discardSync(offset, length);
  }

  /** Makes everything written before the call durable. On an image opened read-only it does nothing. */
  flushSync(): void {
    this.#assertOpen();
    this.#core.writer?.barrier.flushSync();
  }

  /** As `flushSync`, without blocking the thread while the disk works. Calls that overlap share one barrier. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#core.writer?.barrier.flush();
  }

  /**
   * Changes the size of the disk, durably, while it is in use. What is added reads as zeros, also over a backing that is longer; what is cut off is
   * discarded, which needs `allowShrink`. Errors: `INVALID_ARGUMENT`, `TOO_LARGE`, `UNSUPPORTED_FEATURE` for version 2 with snapshots.
   */
  async resize(virtualSizeBytes: number, options: ResizeOptions = {}): Promise<void> {
    resizeImage(this.#use(), virtualSizeBytes, options);
  }

  map(offset: number, length: number): Extent[] {
    this.#assertOpen();
    assertRange(this.#core, offset, length);
    return mapImage(this.#core, offset, length);
  }

  /**
   * Maps open images, so that `changedBetween` finds in one pass where they differ: two moments of one disk share the layers below them. As of now; eight bytes
   * for each cluster.
   */
  static mapTogether(images: readonly Qcow2Image[]): DiskMap[] {
    return mapTogether(
      images.map((image) => [{ kind: "image", core: image.#use() }, ...layersFrom(image.#core.backing)]),
    );
  }

  info(): ImageInfo {
    this.#assertOpen();
    return imageInfo(this.#core);
  }

  /** The bytes of the disk that this image itself holds as data, in whole clusters: what deleting it would give back, but for metadata. */
  allocatedBytes(): number {
    this.#assertOpen();
    return allocatedBytes(this.#core);
  }

  /** Compares every reference with every refcount. Flushes first when the image is open for writing. */
  async check(options: LiveCheckOptions = {}): Promise<CheckResult> {
    return checkLive(this.#use(), options);
  }

  /** Checks and repairs: `"leaks"` lowers counts that are too high, `"all"` also raises those that are too low. Errors: `CORRUPT`, as of `repair`. */
  async repair(mode: RepairMode, options: LiveCheckOptions = {}): Promise<CheckResult> {
    return repairLive(this.#use(), mode, options);
  }

  /**
   * Copies everything that is only in the images below into this one, then drops the reference to them in one sector write.
   * Reading and writing may go on meanwhile. When aborted or interrupted, the image stays valid and a repeat continues.
   */
  async flatten(options: CopyOptions = {}): Promise<void> {
    this.#assertOpen();
    if (this.#core.backing === undefined && this.#core.header.backing === undefined) return;
    await flattenImage(this.#core, { ...options, assertOpen: () => this.#assertOpen() });
  }

  /**
   * Names another image as the one below, durably, and opens it through the resolver. Nothing is copied: the caller vouches that the new
   * backing reads the same wherever this image holds nothing. `undefined` drops the reference.
   */
  async setBackingReference(backing: NewBacking | undefined): Promise<void> {
    await this.#lifetime.replaceBacking(backing);
  }

  /** Flushes, gives the unused tail of the file back, and closes the chain. Closing twice is no error. */
  close(): Promise<void> {
    return this.#lifetime.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #use(): ImageCore {
    this.#lifetime.assertOpen();
    return this.#core;
  }

  #assertOpen(): void {
    this.#lifetime.assertOpen();
  }
}
