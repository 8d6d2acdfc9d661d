import type { BitmapInfo } from "./dirty-bitmaps.ts";
import { type ImageCore, type ImageWriter, prepareWriter } from "./image-core.ts";
import type { CreateBitmapOptions } from "./new-bitmap.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { assertRange } from "./read-path.ts";
import type { DirtyRange } from "./tracked-bitmap.ts";

/**
 * The persistent dirty bitmaps of an open image: which parts of the disk were written since a moment, as incremental backups need it. They are QEMU's own,
 * so its tools read them, and theirs are kept right here.
 *
 * While the image is written they are kept in memory and marked "in use" in the file; changes of the list and `close` store them. After a crash those that
 * recorded are `inconsistent`: they may miss writes, so they can only be deleted.
 *
 * Errors of every method: `CLOSED`, `NOT_FOUND`, `BITMAP_INCONSISTENT`, `CORRUPT`; of changes: `READ_ONLY`, `FAILED`, `NO_SPACE`.
 */
export class ImageBitmaps {
  readonly #use: () => ImageCore;

  /** `use` gives the image's parts and throws once it is closed. */
  constructor(use: () => ImageCore) {
    this.#use = use;
  }

  list(): readonly BitmapInfo[] {
    return this.#use().bitmaps.list();
  }

  /** Adds a clean bitmap. Errors: `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `TOO_LARGE`, `UNSUPPORTED_FEATURE` for version 2. */
  async create(name: string, options: CreateBitmapOptions = {}): Promise<void> {
    await this.#change((core) => core.bitmaps.create(core.header, name, options));
  }

  async delete(name: string): Promise<void> {
    await this.#change((core) => core.bitmaps.delete(core.header, name));
  }

  /** Starts or ends recording. */
  async setEnabled(name: string, enabled: boolean): Promise<void> {
    await this.#change((core) => {
      core.bitmaps.get(name).enabled = enabled;
    });
  }

  /** Makes all of a bitmap clean. */
  async clear(name: string): Promise<void> {
    await this.#change((core) => core.bitmaps.get(name).clear());
  }

  /** Adds to a bitmap what others call dirty. Granularities may differ. */
  async merge(target: string, sources: readonly string[]): Promise<void> {
    await this.#change((core) => {
      const bitmap = core.bitmaps.get(target);
      const others = sources.map((name) => core.bitmaps.get(name));
      for (const other of others) {
        if (other !== bitmap) for (const { offset, length } of other.dirtyRanges()) bitmap.mark(offset, length);
      }
    });
  }

  /** The dirty runs inside a range of bytes, which defaults to the disk: in order, and merged. Everything written so far is in them. */
  dirtyRanges(name: string, range: { readonly offset?: number; readonly length?: number } = {}): Iterable<DirtyRange> {
    const core = this.#use();
    const { offset = 0 } = range;
    const length = range.length ?? core.virtualSizeBytes - offset;
    assertRange(core, offset, length);
    return core.bitmaps.get(name).dirtyRanges(offset, length);
  }

  async #change(change: (core: ImageCore) => void): Promise<void> {
    const core = this.#use();
    const writer: ImageWriter = prepareWriter(core);
    change(core);
    try {
      core.bitmaps.store(core, writer, { changed: true });
      writer.barrier.flushAllSync();
    } catch (error) {
      // A full disk changed nothing in the file, and the next change or closing stores what is in memory.
      if (error instanceof Qcow2Error && error.code !== "NO_SPACE") writer.barrier.fail(error);
      throw error;
    }
  }
}
