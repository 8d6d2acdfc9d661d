import type { BlockSource, Extent } from "./block-source.ts";
import { type ChainLayer, ChainMap } from "./chain-map.ts";
import { nodeFileLayer } from "./file-layer.ts";
import { type ImageCore, loadImageCore } from "./image-core.ts";
import type { MissingReads } from "./missing-read.ts";
import {
  type ChainContext,
  type OpenedFile,
  type OpenImageOptions,
  openBacking,
  openImageFile,
  releaseOpened,
  unlockImage,
} from "./open-image.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { RawSource } from "./raw-source.ts";
import { assertRange } from "./read-path.ts";

/** For the L2 tables of one layer: what is read often is in the chain's map. */
const LAYER_CACHE_BYTES: number = 512 * 1024;

/** Layers that are open in this process, by file and version of its content. */
const openLayers = new Map<string, BackingLayer>();

/**
 * An image below another one, read only. All images of this process that lie on the same layers share them, with their files and their chain map,
 * so that thousands of clones take the memory and the descriptors of one.
 */
export class BackingLayer implements BlockSource {
  readonly core: ImageCore;
  readonly #opened: OpenedFile;
  readonly #key: string | undefined;
  #users = 1;
  #chain: ChainMap | undefined;

  private constructor(core: ImageCore, opened: OpenedFile, key: string | undefined) {
    this.core = core;
    this.#opened = opened;
    this.#key = key;
    if (key !== undefined) openLayers.set(key, this);
  }

  /** Opens an image of a chain and what lies below it, or joins those that have it open. Errors: those of opening an image. */
  static async open(path: string, options: OpenImageOptions, context: ChainContext): Promise<BackingLayer> {
    const below: OpenImageOptions = { ...options, readOnly: true };
    const opened = openImageFile(path, false, below);
    // Whoever joins others has shown the passphrase as they have.
    const cipher = await unlockImage(opened, below);
    let backing: BlockSource | undefined;
    try {
      // Each layer is looked up and checked anew, so that what the resolver says now holds.
      backing = await openBacking(opened, below, context, (lower, deeper) => BackingLayer.open(lower, below, deeper));
      const key = keyOf(opened, below);
      const known = key === undefined ? undefined : openLayers.get(key);
      if (known !== undefined && known.#users > 0 && known.core.backing === backing) {
        known.#users++;
        void backing?.close();
        releaseOpened(opened);
        return known;
      }
      const { file, dataFile, header } = opened;
      const cacheBytes = Math.min(LAYER_CACHE_BYTES, options.cacheBytes ?? LAYER_CACHE_BYTES);
      const core = loadImageCore({ file, dataFile, header, cipher, write: false, backing, cacheBytes });
      return new BackingLayer(core, opened, key);
    } catch (error) {
      void backing?.close();
      releaseOpened(opened);
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.core.virtualSizeBytes;
  }

  /** What the map of the chain from here down takes in memory, in bytes. */
  get mapBytes(): number {
    return this.#chain?.memoryBytes ?? 0;
  }

  readSync(buffer: Uint8Array, offset: number): void {
    this.readOrMiss(buffer, offset, undefined);
  }

  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.readOrMiss(buffer, offset, undefined);
  }

  /** As `readSync`; with `missing`, what would have to be waited for is added to that instead. */
  readOrMiss(buffer: Uint8Array, offset: number, missing: MissingReads | undefined): void {
    this.#assertOpen();
    assertRange(this.core, offset, buffer.length);
    this.#map().read(buffer, offset, missing);
  }

  map(offset: number, length: number): Extent[] {
    this.#assertOpen();
    assertRange(this.core, offset, length);
    return this.#map().map(offset, length);
  }

  /** Gives one use up; with the last one the files are closed. */
  async close(): Promise<void> {
    this.#users--;
    if (this.#users !== 0) return;
    if (this.#key !== undefined && openLayers.get(this.#key) === this) openLayers.delete(this.#key);
    this.#chain = undefined;
    releaseOpened(this.#opened);
    await this.core.backing?.close();
  }

  #map(): ChainMap {
    this.#chain ??= new ChainMap(layersFrom(this));
    return this.#chain;
  }

  #assertOpen(): void {
    if (this.#users <= 0) throw new Qcow2Error("CLOSED", `image '${this.core.file.path}' is closed`);
  }
}

/** What must be equal for two openings to be of the same layer; `undefined` for one that is not shared. */
function keyOf(opened: OpenedFile, options: OpenImageOptions): string | undefined {
  const { identity, version } = opened.file.status();
  const isShared = (options.fileLayer ?? nodeFileLayer) === nodeFileLayer && opened.dataFile === undefined;
  return isShared && version !== undefined ? `${identity}:${version}:${options.lock !== false}` : undefined;
}

/** A disk and what lies below it, from the top down. */
export function layersFrom(top: BlockSource | undefined): ChainLayer[] {
  const layers: ChainLayer[] = [];
  let source = top;
  while (source instanceof BackingLayer) {
    layers.push({ kind: "image", core: source.core });
    source = source.core.backing;
  }
  if (source instanceof RawSource) {
    layers.push({ kind: "raw", file: source.file, sizeBytes: source.sizeBytes, source });
  } else if (source !== undefined) {
    layers.push({ kind: "other", sizeBytes: source.sizeBytes, source });
  }
  return layers;
}
