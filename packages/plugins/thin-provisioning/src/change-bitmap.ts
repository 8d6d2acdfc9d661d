import { closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { VdcError } from "@vdc-os/core";
import { z } from "zod";

/** The unit of change tracking in bytes, for volumes of up to 8 TiB. */
export const changeGranularityBytes: number = 65_536;

const headerBytes = 4096;
/** Of the part of the header that is written: a disk writes it whole or not at all. */
const stateBytes = 512;
const maxBits = 2 ** 27;
const magic = "VDC-CHANGES 1\n";

const state = z.object({
  granularityBytes: z.int().positive(),
  capacityBytes: z.int().nonnegative(),
  /** The boot in which a writer keeps it up to date; absent when the last one ended in order. */
  writerBoot: z.string().optional(),
  /** Changes went past it. */
  broken: z.boolean().optional(),
});

type State = z.infer<typeof state>;

/**
 * The blocks of a volume that changed since a checkpoint: one bit for each granule, in a file of its own.
 *
 * A bit is in the file, as far as every process of this machine can see, before the write that it stands for is issued, so the kill of the writer
 * misses nothing. A power loss may: the header says in which boot it is being written, and whoever finds another one counts everything as changed.
 */
export class ChangeBitmap {
  readonly #fd: number;
  #state: State;
  #bits: Buffer;

  private constructor(fd: number, header: State, bits: Buffer) {
    this.#fd = fd;
    this.#state = header;
    this.#bits = bits;
  }

  /** Makes a bitmap in which nothing has changed, durably. */
  static create(path: string, capacityBytes: number): void {
    let granularityBytes = changeGranularityBytes;
    while (Math.ceil(capacityBytes / granularityBytes) > maxBits) granularityBytes *= 2;
    const fd = openSync(path, "w", 0o600);
    try {
      // Really written, so that setting a bit needs no new space.
      const bitmap = new ChangeBitmap(fd, { granularityBytes, capacityBytes }, Buffer.alloc(0));
      writeAll(fd, Buffer.alloc(headerBytes), 0);
      bitmap.#extend(capacityBytes);
      bitmap.#writeState();
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Opens a bitmap. Throws `DATA_LOSS` for what is none. */
  static open(path: string, { write = false }: { readonly write?: boolean } = {}): ChangeBitmap {
    const fd = openSync(path, write ? "r+" : "r");
    try {
      const content = readFileSync(fd);
      const text = content.subarray(0, stateBytes).toString("utf8").replace(/\0+$/, "");
      const parsed = text.startsWith(magic) ? state.safeParse(parseJson(text.slice(magic.length))) : undefined;
      const header = parsed?.data;
      const bits = content.subarray(headerBytes);
      if (header === undefined || bits.length < bitmapBytes(header)) {
        throw new VdcError("DATA_LOSS", `the bitmap '${path}' is damaged`, { reason: "VDC_BITMAP_DAMAGED" });
      }
      return new ChangeBitmap(fd, header, Buffer.from(bits.subarray(0, bitmapBytes(header))));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  get capacityBytes(): number {
    return this.#state.capacityBytes;
  }

  /** False when changes went past it. */
  get isIntact(): boolean {
    return this.#state.broken !== true;
  }

  /** Begins to keep it up to date, durably. After a power loss everything counts as changed. */
  beginWriting(bootId: string): void {
    this.settle(bootId);
    this.#state = { ...this.#state, writerBoot: bootId };
    this.#writeState();
    fdatasyncSync(this.#fd);
  }

  /** Counts everything as changed in memory when the last writer was ended by a power loss. */
  settle(bootId: string): void {
    const { writerBoot } = this.#state;
    if (writerBoot === undefined || writerBoot === bootId) return;
    this.#bits.fill(0xff);
    // A reader has no right to write, and needs none.
    try {
      writeAll(this.#fd, this.#bits, headerBytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBADF") throw error;
    }
  }

  /** Notes a change that is about to be made. Throws what the file system does; then nothing may be changed. */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    const { granularityBytes } = this.#state;
    const bits = this.#bits;
    const last = Math.floor((offset + length - 1) / granularityBytes);
    let from = -1;
    let to = -1;
    for (let granule = Math.floor(offset / granularityBytes); granule <= last; granule++) {
      const at = granule >>> 3;
      const bit = 1 << (granule & 7);
      if ((bits[at] as number) & bit) continue;
      bits[at] = (bits[at] as number) | bit;
      if (from < 0) from = at;
      to = at;
    }
    if (from < 0) return;
    try {
      writeAll(this.#fd, bits.subarray(from, to + 1), headerBytes + from);
    } catch (error) {
      // What is in the file is what counts.
      readSync(this.#fd, bits, from, to + 1 - from, headerBytes + from);
      throw error;
    }
  }

  /** Follows a volume that grows. What is added counts as changed. */
  grow(capacityBytes: number): void {
    const before = this.#state.capacityBytes;
    if (capacityBytes <= before) return;
    this.#extend(capacityBytes);
    this.#state = { ...this.#state, capacityBytes };
    this.mark(before, capacityBytes - before);
    this.#writeState();
    fdatasyncSync(this.#fd);
  }

  /** Says, durably, that changes went past it. */
  break(): void {
    this.#state = { ...this.#state, broken: true };
    this.#writeState();
    fdatasyncSync(this.#fd);
  }

  /** Makes it durable. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => fdatasync(this.#fd, (error) => (error ? reject(error) : resolve())));
  }

  /** Ends the writing in order, durably, and closes it. */
  endWriting(): void {
    try {
      fdatasyncSync(this.#fd);
      this.#state = { ...this.#state, writerBoot: undefined };
      this.#writeState();
      fdatasyncSync(this.#fd);
    } finally {
      closeSync(this.#fd);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** The runs of changed granules from an offset on, cut to the volume, in order. */
  *runs(startingOffset: number): Iterable<{ readonly offset: number; readonly length: number }> {
    const { granularityBytes, capacityBytes } = this.#state;
    const end = Math.ceil(capacityBytes / granularityBytes);
    const isSet = (granule: number): boolean => ((this.#bits[granule >>> 3] as number) & (1 << (granule & 7))) !== 0;
    for (let granule = Math.floor(startingOffset / granularityBytes); granule < end; granule++) {
      if ((granule & 7) === 0 && this.#bits[granule >>> 3] === 0) {
        granule += 7;
        continue;
      }
      if (!isSet(granule)) continue;
      const first = granule;
      while (granule < end && isSet(granule)) granule++;
      const offset = Math.max(startingOffset, first * granularityBytes);
      yield { offset, length: Math.min(capacityBytes, granule * granularityBytes) - offset };
    }
  }

  #extend(capacityBytes: number): void {
    const bytes = bitmapBytes({ ...this.#state, capacityBytes });
    const added = Buffer.alloc(bytes - this.#bits.length);
    writeAll(this.#fd, added, headerBytes + this.#bits.length);
    this.#bits = Buffer.concat([this.#bits, added]);
  }

  #writeState(): void {
    const sector = Buffer.alloc(stateBytes);
    sector.write(magic + JSON.stringify(this.#state));
    writeAll(this.#fd, sector, 0);
  }
}

function bitmapBytes({ capacityBytes, granularityBytes }: Pick<State, "capacityBytes" | "granularityBytes">): number {
  return Math.ceil(Math.ceil(capacityBytes / granularityBytes) / 8);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function writeAll(fd: number, data: Buffer, position: number): void {
  for (let done = 0; done < data.length; ) done += writeSync(fd, data, done, data.length - done, position + done);
}
