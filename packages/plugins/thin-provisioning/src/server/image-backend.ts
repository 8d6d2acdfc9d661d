import type { BlockBackend, BlockExtent, BlockResult } from "@vdc-os/nbd";
import type { Qcow2Image } from "@vdc-os/qcow2";
import type { ChangeBitmap } from "../change-bitmap.ts";
import { FlushPlacement, type ServerActivity } from "./flush-placement.ts";
import { IoGate } from "./io-gate.ts";
import { isOutOfSpace, OutOfSpaceError, ParkedWrites } from "./parked-writes.ts";
import type { SpaceGuard } from "./space-guard.ts";

const zeroes = Buffer.alloc(1024 * 1024);
const smallestDetectedBytes = 4096;

/** Options of {@link ImageBackend}. */
export interface ImageBackendOptions {
  readonly image: Qcow2Image;
  /** Holds writes against the pool's limit. `undefined` when there is none but the file system's. */
  readonly space: SpaceGuard | undefined;
  /** What becomes of a write that finds no space. */
  readonly outOfSpace: "pause" | "fail";
  /** Writes of zeroes take no space. */
  readonly detectZeroes: boolean;
  /** Shared by all exports of the process. */
  readonly activity: ServerActivity;
  /** A clock in milliseconds, which tells how long flushes take. Defaults to the machine's monotonic one. */
  readonly now?: (() => number) | undefined;
}

/**
 * An image as the disk behind an NBD export. What a write is about to change is noted first. A write that finds no space waits, or is answered
 * with `ENOSPC`; what was written and flushed before stays, and writes that need no new space go on.
 */
export class ImageBackend implements BlockBackend {
  /** The image now: it is exchanged when the volume's layers change. */
  image: Qcow2Image;
  /** The bitmaps of the live checkpoints. */
  trackers: readonly ChangeBitmap[] = [];
  readonly readOnly: boolean;
  readonly sharedFlush = true;
  readonly sparseReads = true;
  readonly gate: IoGate = new IoGate();
  readonly parked: ParkedWrites = new ParkedWrites();
  readonly #space: SpaceGuard | undefined;
  readonly #pauses: boolean;
  readonly #detectZeroes: boolean;
  readonly #flushes: FlushPlacement;

  constructor(options: ImageBackendOptions) {
    this.image = options.image;
    this.readOnly = options.image.readOnly;
    this.#space = options.space;
    this.#pauses = options.outOfSpace === "pause";
    this.#detectZeroes = options.detectZeroes;
    this.#flushes = new FlushPlacement(options.activity, options.now);
  }

  get sizeBytes(): number {
    return this.image.sizeBytes;
  }

  /** How many writes wait for space, and not only until the pool has been measured anew. */
  get waitingWrites(): number {
    return this.parked.count((error) => !(error instanceof OutOfSpaceError) || this.#space?.isFull === true);
  }

  read(target: Buffer, offset: number): BlockResult {
    this.#flushes.asked();
    if (this.gate.stopsReads) return this.gate.changed().then(() => this.read(target, offset));
    const { image } = this;
    return image.readWithoutWaiting(target, offset)?.catch((error: unknown) => {
      // It waited for the disk while the image was exchanged.
      const isExchanged = this.gate.stopsReads || this.image !== image;
      if (isExchanged && (error as { readonly code?: unknown } | undefined)?.code === "CLOSED") {
        return this.read(target, offset);
      }
      throw error;
    });
  }

  write(source: Buffer, offset: number): BlockResult {
    this.#flushes.wrote(source.length);
    if (this.gate.stopsWrites) return this.gate.changed().then(() => this.write(source, offset));
    try {
      this.#write(source, offset);
      if (this.#flushes.isExpected) this.#flushAhead();
    } catch (error) {
      return this.#noSpace(error, () => this.#retry(() => this.#write(source, offset)));
    }
  }

  flush(): BlockResult {
    if (this.gate.stopsReads) return this.gate.changed().then(() => this.flush());
    const failed = (error: unknown): Promise<unknown> =>
      this.#noSpace(error, () => this.#retry(() => this.image.flush()));
    if (!this.#flushes.isInPlace) return this.#flushes.beside(() => this.image.flush()).catch(failed);
    try {
      this.#flushes.inPlace(() => this.image.flushSync());
    } catch (error) {
      return failed(error);
    }
  }

  trim(offset: number, length: number): BlockResult {
    this.#flushes.asked();
    if (this.gate.stopsWrites) return this.gate.changed().then(() => this.trim(offset, length));
    try {
      this.#trim(offset, length);
    } catch (error) {
      return this.#noSpace(error, () => this.#retry(() => this.#trim(offset, length)));
    }
  }

  writeZeroes(offset: number, length: number, options: { readonly noHole: boolean }): BlockResult {
    this.#flushes.asked();
    if (this.gate.stopsWrites) return this.gate.changed().then(() => this.writeZeroes(offset, length, options));
    const { noHole } = options;
    try {
      this.#writeZeroes(offset, length, noHole);
    } catch (error) {
      return this.#noSpace(error, () => this.#retry(() => this.#writeZeroes(offset, length, noHole)));
    }
  }

  extents(offset: number, length: number): Iterable<BlockExtent> | Promise<Iterable<BlockExtent>> {
    this.#flushes.asked();
    if (this.gate.stopsReads) return this.gate.changed().then(() => this.extents(offset, length));
    return this.image.map(offset, length);
  }

  /** When the answer to the write is on its way. Should it fail, so does the flush that is then asked for, and that one is answered. */
  #flushAhead(): void {
    const { image } = this;
    queueMicrotask(() => {
      if (!this.#flushes.isExpected || this.gate.stopsWrites || this.image !== image) return;
      try {
        this.#flushes.ahead(() => image.flushSync());
      } catch {}
    });
  }

  #write(source: Buffer, offset: number): void {
    this.#mark(offset, source.length);
    if (this.#detectZeroes && isZero(source)) {
      this.image.writeZeroesSync(offset, source.length);
      return;
    }
    this.#assertSpace(offset, source.length);
    this.image.writeSync(source, offset);
  }

  #trim(offset: number, length: number): void {
    this.#mark(offset, length);
    this.image.discardSync(offset, length);
  }

  #writeZeroes(offset: number, length: number, noHole: boolean): void {
    this.#mark(offset, length);
    if (!noHole) {
      this.image.writeZeroesSync(offset, length);
      return;
    }
    this.#assertSpace(offset, length);
    for (let done = 0; done < length; done += zeroes.length) {
      this.image.writeSync(zeroes.subarray(0, Math.min(zeroes.length, length - done)), offset + done);
    }
  }

  /** Before the change, always: a change that is not noted would be missed by a backup. */
  #mark(offset: number, length: number): void {
    for (const bitmap of this.trackers) bitmap.mark(offset, length);
  }

  #assertSpace(offset: number, length: number): void {
    if (this.#space === undefined || this.#space.take(length)) return;
    const isAllocated = this.image.map(offset, length).every(({ kind, depth }) => kind === "data" && depth === 0);
    if (!isAllocated) throw new OutOfSpaceError("the pool has reached its limit");
  }

  /** What was parked is done only while the gate is open. */
  #retry(run: () => unknown): unknown {
    return this.gate.stopsWrites ? this.gate.changed().then(() => this.#retry(run)) : run();
  }

  #noSpace(error: unknown, retry: () => unknown): Promise<unknown> {
    if (!this.#pauses || !isOutOfSpace(error)) throw error;
    return this.parked.park(error, retry);
  }
}

function isZero(source: Buffer): boolean {
  if (source.length < smallestDetectedBytes || source[0] !== 0) return false;
  for (let at = 0; at < source.length; at += zeroes.length) {
    const length = Math.min(zeroes.length, source.length - at);
    if (source.compare(zeroes, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}
