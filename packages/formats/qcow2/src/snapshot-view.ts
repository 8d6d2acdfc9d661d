import type { BlockSource, Extent } from "./block-source.ts";
import type { Header } from "./header.ts";
import { readTable } from "./header.ts";
import type { ImageCore } from "./image-core.ts";
import { Mapping } from "./mapping.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { assertRange, mapImage, readImage } from "./read-path.ts";
import type { SnapshotEntry } from "./snapshot-table.ts";

/**
 * A snapshot as a disk to read, while its image stays in use. What a snapshot refers to is never written over, so it reads the same whatever
 * happens to the image. It ends with the image.
 */
export class SnapshotView implements BlockSource {
  readonly sizeBytes: number;
  readonly id: string;
  readonly #core: ImageCore;
  readonly #use: () => ImageCore;
  readonly #onClose: () => void;
  #closed = false;

  constructor(
    parent: ImageCore,
    snapshot: SnapshotEntry,
    options: { readonly cacheBytes: number; readonly use: () => ImageCore; readonly onClose: () => void },
  ) {
    const refuse = (): never => {
      throw new Qcow2Error("READ_ONLY", `snapshot '${snapshot.id}' of '${parent.file.path}' cannot be written`);
    };
    this.id = snapshot.id;
    this.sizeBytes = snapshot.diskBytes ?? parent.virtualSizeBytes;
    const entries = Math.ceil(this.sizeBytes / parent.geometry.l2Coverage);
    const l1 = Buffer.alloc(entries * 8);
    readTable(parent.file, snapshot.l1Offset, Math.min(entries, snapshot.l1Entries) * 8).copy(l1);
    const header: Header = { ...parent.header, virtualSizeBytes: this.sizeBytes };
    this.#core = {
      ...parent,
      header,
      mapping: new Mapping({
        file: parent.file,
        geometry: parent.geometry,
        version: parent.version,
        l1,
        l1Offset: snapshot.l1Offset,
        externalData: false,
        cacheBytes: options.cacheBytes,
        barrier: () => undefined,
        allocateTable: refuse,
        freeTable: refuse,
      }),
      writer: undefined,
      virtualSizeBytes: this.sizeBytes,
      decompressed: undefined,
    };
    this.#use = options.use;
    this.#onClose = options.onClose;
  }

  readSync(buffer: Uint8Array, offset: number): void {
    const core = this.#usable();
    assertRange(core, offset, buffer.length);
    readImage(core, buffer, offset);
  }

  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.readSync(buffer, offset);
  }

  map(offset: number, length: number): Extent[] {
    const core = this.#usable();
    assertRange(core, offset, length);
    return mapImage(core, offset, length);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #usable(): ImageCore {
    if (this.#closed) throw new Qcow2Error("CLOSED", `snapshot '${this.id}' is closed`);
    const parent = this.#use();
    // The image below may have been exchanged, and the file may have become longer.
    this.#core.backing = parent.backing;
    this.#core.length = parent.length;
    return this.#core;
  }
}
