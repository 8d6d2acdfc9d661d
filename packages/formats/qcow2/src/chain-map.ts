import type { BlockSource, Extent } from "./block-source.ts";
import { pushExtent } from "./block-source.ts";
import type { ImageFile } from "./file-layer.ts";
import type { ImageCore } from "./image-core.ts";
import { type MissingReads, plainFileOf, readOrMiss } from "./missing-read.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { readRun } from "./read-path.ts";

/** One layer of a chain that nothing writes to: an image, a raw disk, or any other disk, which then ends the chain. */
export type ChainLayer =
  | { readonly kind: "image"; readonly core: ImageCore }
  | { readonly kind: "raw"; readonly file: ImageFile; readonly sizeBytes: number; readonly source: BlockSource }
  | { readonly kind: "other"; readonly sizeBytes: number; readonly source: BlockSource };

/** Units of one page: 32 MiB of the disk at the usual cluster size, so that building one takes no time that anybody notices. */
const PAGE_UNITS = 512;
/** Of all pages: 128 GiB of the disk at the usual cluster size. */
const CAPACITY_BYTES: number = 16 * 1024 * 1024;
const MIN_UNIT_BYTES = 4096;
/** The map answers for ranges up to so many pages; for more, building pages would cost more than it saves. */
const MAPPED_PAGES = 2;

// What a unit is: a host offset, a multiple of 512, plus the layer in its low bits; or one of these.
const LAYER_BITS = 511;
/** No layer holds it. */
const HOLE = -1;
/** Has to be looked up: compressed, or not all of it alike. */
const LOOK = -2;
/** Zeros, says the layer `ZERO - value`. */
const ZERO = -3;

interface Page {
  readonly values: Float64Array;
  /** Second-chance mark. */
  referenced: boolean;
}

/**
 * All layers of a chain as one: for each unit of the disk which layer holds it and where, so that a read costs the same whatever the chain's depth.
 * Pages are built when they are first needed, and bounded in bytes. Everything in the chain must stay as it is.
 */
export class ChainMap {
  readonly #layers: readonly ChainLayer[];
  readonly #sizeBytes: number;
  readonly #unit: number;
  readonly #pageBytes: number;
  readonly #pages = new Map<number, Page>();
  readonly #capacity: number;

  /** `layers` from the top down. */
  constructor(layers: readonly ChainLayer[]) {
    this.#layers = layers;
    this.#sizeBytes = layers[0] === undefined ? 0 : sizeOf(layers[0]);
    const units = layers.flatMap((layer) => (layer.kind === "image" ? [layer.core.geometry.subclusterSize] : []));
    this.#unit = Math.max(MIN_UNIT_BYTES, Math.min(...units));
    this.#pageBytes = PAGE_UNITS * this.#unit;
    this.#capacity = CAPACITY_BYTES / (PAGE_UNITS * 8);
  }

  /** What the pages take, in bytes. */
  get memoryBytes(): number {
    return this.#pages.size * PAGE_UNITS * 8;
  }

  /** Fills `buffer` from a range inside the disk; with `missing`, adds to that what would have to be waited for. */
  read(buffer: Uint8Array, offset: number, missing?: MissingReads): void {
    const unit = this.#unit;
    for (let done = 0; done < buffer.length; ) {
      const at = offset + done;
      const within = at % unit;
      let index = ((at - within) / unit) % PAGE_UNITS;
      const { values } = this.#page(Math.floor(at / this.#pageBytes));
      const value = values[index] as number;
      let length = unit - within;
      const wanted = buffer.length - done;
      while (length < wanted && ++index < PAGE_UNITS) {
        if (values[index] !== (value < 0 ? value : value + length + within)) break;
        length += unit;
      }
      if (length > wanted) length = wanted;
      const part = length === buffer.length ? buffer : buffer.subarray(done, done + length);
      if (value >= 0) {
        const depth = value & LAYER_BITS;
        readOrMiss(this.#fileOf(depth), part, value - depth + within, missing);
      } else if (value === LOOK) this.#readLayers(0, part, at);
      else part.fill(0);
      done += length;
    }
  }

  /** The extents of a range inside the disk, as `BlockSource.map` gives them. */
  map(offset: number, length: number): Extent[] {
    const extents: Extent[] = [];
    if (length > MAPPED_PAGES * this.#pageBytes) {
      this.#mapLayers(0, offset, offset + length, extents);
      return extents;
    }
    const unit = this.#unit;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const { values } = this.#page(Math.floor(at / this.#pageBytes));
      const within = at % unit;
      const value = values[((at - within) / unit) % PAGE_UNITS] as number;
      const stop = Math.min(end, at - within + unit);
      if (value === LOOK) this.#mapLayers(0, at, stop, extents);
      else if (value === HOLE) pushExtent(extents, { offset: at, length: stop - at, kind: "hole", depth: 0 });
      else if (value >= 0) {
        const depth = value & LAYER_BITS;
        pushExtent(extents, { offset: at, length: stop - at, kind: "data", depth });
      } else pushExtent(extents, { offset: at, length: stop - at, kind: "zero", depth: ZERO - value });
      at = stop;
    }
    return extents;
  }

  #page(index: number): Page {
    const known = this.#pages.get(index);
    if (known !== undefined) {
      known.referenced = true;
      return known;
    }
    if (this.#pages.size >= this.#capacity) this.#evict();
    const page = { values: new Float64Array(PAGE_UNITS).fill(HOLE), referenced: true };
    const from = index * this.#pageBytes;
    this.#resolve(0, { values: page.values, base: from }, from, Math.min(this.#sizeBytes, from + this.#pageBytes));
    this.#pages.set(index, page);
    return page;
  }

  #evict(): void {
    for (const [index, page] of this.#pages) {
      this.#pages.delete(index);
      if (!page.referenced) return;
      // To the end, as the youngest.
      page.referenced = false;
      this.#pages.set(index, page);
    }
  }

  #resolve(
    depth: number,
    page: { readonly values: Float64Array; readonly base: number },
    from: number,
    to: number,
  ): void {
    const layer = this.#layers[depth];
    if (layer === undefined) return;
    const end = Math.min(to, sizeOf(layer));
    if (end <= from) return;
    if (layer.kind !== "image") {
      const holes = layer.kind === "raw" && layer.file.seekSync !== undefined ? layer.source.map(from, end - from) : [];
      this.#mark(page, from, end, layer.kind === "raw" ? from + depth : LOOK, layer.kind === "raw");
      for (const hole of holes) {
        if (hole.kind !== "data") this.#mark(page, hole.offset, hole.offset + hole.length, HOLE, false);
      }
      return;
    }
    for (let at = from; at < end; ) {
      let run: ReturnType<ImageCore["mapping"]["lookup"]>;
      try {
        run = layer.core.mapping.lookup(at, end - at);
      } catch (error) {
        if (!(error instanceof Qcow2Error)) throw error;
        // Whoever reads what a damaged entry maps is told; nobody else.
        const stop = Math.min(end, at - (at % this.#unit) + this.#unit);
        this.#mark(page, at, stop, LOOK, false);
        at = stop;
        continue;
      }
      const stop = at + run.length;
      if (run.kind === "unallocated") this.#resolve(depth + 1, page, at, stop);
      else if (run.kind === "data" && plainFileOf(layer.core)) {
        this.#mark(page, at, stop, run.hostOffset + depth, true);
      } else this.#mark(page, at, stop, run.kind === "zero" ? ZERO - depth : LOOK, false);
      at = stop;
    }
  }

  /** Notes a run: `value` is that of its first byte, and rises with the offset where it `moves`. A unit of which it is a part must be looked up. */
  #mark(
    { values, base }: { readonly values: Float64Array; readonly base: number },
    from: number,
    to: number,
    value: number,
    moves: boolean,
  ): void {
    const unit = this.#unit;
    for (let at = from; at < to; ) {
      const within = at % unit;
      const stop = at - within + unit;
      const whole = within === 0 && stop <= to;
      values[(at - within - base) / unit] = !whole ? LOOK : moves ? value + (at - from) : value;
      at = stop;
    }
  }

  #fileOf(depth: number): ImageFile {
    const layer = this.#layers[depth];
    if (layer?.kind === "image") return layer.core.data;
    return (layer as Extract<ChainLayer, { readonly kind: "raw" }>).file;
  }

  /** Reads through the layers one by one. */
  #readLayers(depth: number, buffer: Uint8Array, offset: number): void {
    const layer = this.#layers[depth];
    const inside = layer === undefined ? 0 : Math.max(0, Math.min(buffer.length, sizeOf(layer) - offset));
    if (inside < buffer.length) buffer.fill(0, inside);
    if (layer === undefined || inside === 0) return;
    if (layer.kind !== "image") {
      layer.source.readSync(buffer.subarray(0, inside), offset);
      return;
    }
    for (let done = 0; done < inside; ) {
      const run = layer.core.mapping.lookup(offset + done, inside - done);
      const part = buffer.subarray(done, done + run.length);
      if (run.kind === "unallocated") this.#readLayers(depth + 1, part, offset + done);
      else readRun(layer.core, run, part, offset + done);
      done += run.length;
    }
  }

  /** Asks the layers one by one. */
  #mapLayers(depth: number, from: number, to: number, extents: Extent[]): void {
    const layer = this.#layers[depth];
    const end = layer === undefined ? from : Math.max(from, Math.min(to, sizeOf(layer)));
    if (layer !== undefined && layer.kind !== "image" && end > from) {
      for (const extent of layer.source.map(from, end - from)) {
        pushExtent(extents, { ...extent, depth: extent.kind === "hole" ? 0 : extent.depth + depth });
      }
    }
    for (let at = from; layer?.kind === "image" && at < end; ) {
      const run = layer.core.mapping.lookup(at, end - at);
      if (run.kind === "unallocated") this.#mapLayers(depth + 1, at, at + run.length, extents);
      else pushExtent(extents, { offset: at, length: run.length, kind: run.kind === "zero" ? "zero" : "data", depth });
      at += run.length;
    }
    // A hole belongs to no layer, so it merges whatever the depth at which the search ended.
    pushExtent(extents, { offset: end, length: to - end, kind: "hole", depth: 0 });
  }
}

function sizeOf(layer: ChainLayer): number {
  return layer.kind === "image" ? layer.core.virtualSizeBytes : layer.sizeBytes;
}
