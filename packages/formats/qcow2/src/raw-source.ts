import { type BlockSource, type Extent, pushExtent } from "./block-source.ts";
import { type ImageFile, nodeFileLayer } from "./file-layer.ts";
import { MIN_POOLED_BYTES } from "./missing-read.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** A raw disk image, read only. Where the holes of its file can't be asked for, all of it counts as data. */
export class RawSource implements BlockSource, AsyncDisposable {
  readonly sizeBytes: number;
  readonly #file: ImageFile;
  #closed = false;

  constructor(file: ImageFile) {
    this.#file = file;
    this.sizeBytes = file.status().sizeBytes;
  }

  /** The file itself, where every byte lies at its own offset. */
  get file(): ImageFile {
    return this.#file;
  }

  readSync(buffer: Uint8Array, offset: number): void {
    this.#assertInside(buffer, offset);
    const count = this.#file.readSync(buffer, offset);
    // The file shrank under us: what is gone reads as zeros, as a hole would.
    if (count < buffer.length) buffer.fill(0, count);
  }

  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.#assertInside(buffer, offset);
    if (this.#file.read === undefined || buffer.length < MIN_POOLED_BYTES) {
      this.readSync(buffer, offset);
      return;
    }
    const count = await this.#file.read(buffer, offset);
    if (count < buffer.length) buffer.fill(0, count);
  }

  readWithoutWaiting(buffer: Uint8Array, offset: number): Promise<void> | undefined {
    this.#assertInside(buffer, offset);
    const count = this.#file.readCachedSync?.(buffer, offset) ?? 0;
    return count === buffer.length ? undefined : this.read(buffer.subarray(count), offset + count);
  }

  map(offset: number, length: number): Extent[] {
    const extents: Extent[] = [];
    const end = Math.min(offset + length, this.sizeBytes);
    const { seekSync } = this.#file;
    for (let at = offset; at < end; ) {
      // Written to meanwhile, an answer may be old by the next question: each one only moves forward.
      const data = seekSync === undefined ? at : seekSync(at, "data");
      const dataStart = data < 0 ? end : Math.min(end, Math.max(at, data));
      pushExtent(extents, { offset: at, length: dataStart - at, kind: "hole", depth: 0 });
      if (dataStart === end) break;
      const hole = seekSync === undefined ? end : seekSync(dataStart, "hole");
      const dataEnd = hole < 0 ? end : Math.min(end, Math.max(dataStart + 1, hole));
      pushExtent(extents, { offset: dataStart, length: dataEnd - dataStart, kind: "data", depth: 0 });
      at = dataEnd;
    }
    return extents;
  }

  #assertInside(buffer: Uint8Array, offset: number): void {
    if (this.#closed) throw new Qcow2Error("CLOSED", `raw image '${this.#file.path}' is closed`);
    if (offset < 0 || offset + buffer.length > this.sizeBytes) {
      throw new Qcow2Error("OUT_OF_RANGE", `range ${offset}+${buffer.length} leaves raw image '${this.#file.path}'`);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.closeSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Opens a raw disk image for reading. Errors: `NOT_FOUND`, `NOT_REGULAR_FILE`. */
export async function openRawSource(path: string): Promise<BlockSource & AsyncDisposable> {
  return new RawSource(nodeFileLayer.openSync(path, { write: false }));
}
