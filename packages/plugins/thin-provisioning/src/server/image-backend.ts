import type { BlockBackend, BlockExtent } from "@vdc-os/nbd";
import type { Qcow2Image } from "@vdc-os/qcow2";

const zeroes = Buffer.alloc(1024 * 1024);

/**
 * An image as the disk behind an NBD export. A write that finds the file system full is answered with `ENOSPC`; what was written and
 * flushed before stays, and writes that need no new space go on.
 */
export class ImageBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly sharedFlush = true;
  readonly #image: Qcow2Image;

  constructor(image: Qcow2Image) {
    this.#image = image;
    this.sizeBytes = image.sizeBytes;
    this.readOnly = image.readOnly;
  }

  read(target: Buffer, offset: number): void {
    this.#image.readSync(target, offset);
  }

  write(source: Buffer, offset: number): void {
    this.#image.writeSync(source, offset);
  }

  flush(): Promise<void> {
    return this.#image.flush();
  }

  trim(offset: number, length: number): void {
    this.#image.discardSync(offset, length);
  }

  writeZeroes(offset: number, length: number, { noHole }: { readonly noHole: boolean }): void {
    if (!noHole) {
      this.#image.writeZeroesSync(offset, length);
      return;
    }
    for (let done = 0; done < length; done += zeroes.length) {
      this.#image.writeSync(zeroes.subarray(0, Math.min(zeroes.length, length - done)), offset + done);
    }
  }

  extents(offset: number, length: number): Iterable<BlockExtent> {
    return this.#image.map(offset, length);
  }
}
