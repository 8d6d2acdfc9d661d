import type { ImageFile } from "./file-layer.ts";
import type { Geometry } from "./geometry.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import type { RefcountTable } from "./refcount-table.ts";

/** Neighbouring host clusters that were just allocated. `zeroed`: they are known to read as zeros. */
export interface Allocation {
  readonly offset: number;
  readonly clusters: number;
  readonly zeroed: boolean;
}

/** How far the file is extended at a time: one truncate for many clusters. The unused tail goes away on close. */
const EXTEND_CLUSTERS = 64;

/** The length of the image's file, extended in steps. */
export class FileLength {
  readonly #file: ImageFile;
  readonly #step: number;
  #bytes: number;

  constructor(file: ImageFile, clusterSize: number) {
    this.#file = file;
    this.#step = EXTEND_CLUSTERS * clusterSize;
    this.#bytes = file.status().sizeBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  ensure(bytes: number): void {
    if (bytes <= this.#bytes) return;
    const target = Math.ceil(bytes / this.#step) * this.#step;
    this.#file.truncateSync(target);
    this.#bytes = target;
  }

  /** Gives the space of a range that nothing refers to any more back to the file system, where that can be done. */
  punch(offset: number, bytes: number): void {
    this.#file.punchSync?.(offset, bytes);
  }

  shrink(bytes: number): void {
    if (bytes >= this.#bytes) return;
    this.#file.truncateSync(bytes);
    this.#bytes = bytes;
  }
}

/**
 * Hands out host clusters and takes them back.
 *
 * A cluster whose pointer was removed stays counted, so it cannot be handed out, until the removal is durable: a crash could otherwise bring
 * the old pointer back onto a cluster that holds something else by then.
 */
export class Allocator {
  readonly #refcounts: RefcountTable;
  readonly #geometry: Geometry;
  readonly #length: FileLength;
  #hint = 0;
  /** Clusters from here on were never written since the file was extended over them. */
  #virginCluster: number;
  #pendingFrees: number[] = [];
  #freed = 0;
  /** Where the last compressed data ends, inside a host cluster that has room for more. */
  #packedEnd: number | undefined;

  constructor(refcounts: RefcountTable, geometry: Geometry, length: FileLength) {
    this.#refcounts = refcounts;
    this.#geometry = geometry;
    this.#length = length;
    this.#virginCluster = Math.ceil(length.bytes / geometry.clusterSize);
  }

  get hasPendingFrees(): boolean {
    return this.#pendingFrees.length > 0;
  }

  /** Rises whenever a cluster becomes free, which may then hold anything else. */
  get freedClusters(): number {
    return this.#freed;
  }

  /** One to `maximum` neighbouring clusters, counted once each. */
  allocate(maximum: number): Allocation {
    let first = this.#findFree();
    while (!this.#refcounts.covers(first)) {
      this.#refcounts.createBlock(first);
      this.#noteUsed(first + 1);
      first = this.#findFree();
    }
    const virgin = first >= this.#virginCluster;
    let end = first + 1;
    while (
      end - first < maximum &&
      this.#refcounts.covers(end) &&
      this.#refcounts.get(end) === 0 &&
      end >= this.#virginCluster === virgin
    ) {
      end++;
    }
    this.#length.ensure(end * this.#geometry.clusterSize);
    for (let cluster = first; cluster < end; cluster++) this.#refcounts.set(cluster, 1);
    this.#hint = end;
    this.#noteUsed(end);
    return { offset: first * this.#geometry.clusterSize, clusters: end - first, zeroed: virgin };
  }

  /** Exactly `count` neighbouring clusters past everything in use; for tables that must lie in one piece. */
  allocateContiguous(count: number): number {
    let first = Math.max(this.#virginCluster, this.#hint);
    for (let cluster = first; cluster < first + count; ) {
      if (this.#refcounts.covers(cluster) && this.#refcounts.get(cluster) === 0) {
        cluster++;
        continue;
      }
      if (!this.#refcounts.covers(cluster)) this.#refcounts.createBlock(cluster);
      first = cluster + 1;
      cluster = first;
    }
    this.#length.ensure((first + count) * this.#geometry.clusterSize);
    for (let cluster = first; cluster < first + count; cluster++) this.#refcounts.set(cluster, 1);
    this.#noteUsed(first + count);
    return first * this.#geometry.clusterSize;
  }

  /**
   * Room for compressed data: bytes behind what was packed last, where they fit, else in a new cluster. Each host cluster that they touch is
   * counted once more. A cluster whose refcount is at its limit takes no more.
   */
  allocatePacked(bytes: number): number {
    const { clusterSize } = this.#geometry;
    let start = this.#packedEnd;
    if (start !== undefined && this.#refcounts.get(Math.floor(start / clusterSize)) >= this.#refcounts.maximum) {
      start = undefined;
    }
    const room = start === undefined ? 0 : clusterSize - (start % clusterSize);
    if (start === undefined || bytes > room) {
      const fresh = this.allocate(1).offset;
      // Allocating may free clusters, the one that was being packed among them.
      const follows = start !== undefined && start === this.#packedEnd && start + room === fresh;
      if (!follows) start = undefined;
      if (start === undefined) start = fresh;
      else this.#increase(Math.floor(start / clusterSize));
    } else {
      this.#increase(Math.floor(start / clusterSize));
    }
    const end = start + bytes;
    this.#packedEnd = end % clusterSize === 0 ? undefined : end;
    return start;
  }

  /** Gives back what `allocatePacked` gave, before anything pointed to it. */
  releasePacked(offset: number, bytes: number): void {
    const { clusterSize } = this.#geometry;
    const last = Math.floor((offset + bytes - 1) / clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster++) this.#decrease(cluster);
  }

  /** Adds the refcount block that counts `cluster`, which is in use, at the end of the file; for repair. */
  addMissingBlock(cluster: number): void {
    const offset = this.allocateContiguous(1);
    // The allocation may itself have created the block that was missing.
    if (this.#refcounts.covers(cluster)) this.release({ offset, clusters: 1, zeroed: true });
    else this.#refcounts.adoptBlock(cluster, offset);
  }

  /** Searches from the start again; after counts were changed behind the allocator's back. */
  rescan(): void {
    this.#hint = 0;
    this.#packedEnd = undefined;
  }

  /** Gives back clusters that nothing ever pointed to. */
  release(allocation: Allocation): void {
    const first = allocation.offset / this.#geometry.clusterSize;
    for (let cluster = first; cluster < first + allocation.clusters; cluster++) this.#decrease(cluster);
  }

  /** Gives back what a pointer referenced, once the removal of that pointer is durable. */
  deferFree(offset: number, bytes: number): void {
    const first = Math.floor(offset / this.#geometry.clusterSize);
    const last = Math.floor((offset + bytes - 1) / this.#geometry.clusterSize);
    for (let cluster = first; cluster <= last; cluster++) this.#pendingFrees.push(cluster);
  }

  takePendingFrees(): number[] {
    const taken = this.#pendingFrees;
    this.#pendingFrees = [];
    return taken;
  }

  /** The removals are durable: what `takePendingFrees` returned may be used again. */
  applyFrees(clusters: readonly number[]): void {
    const free: number[] = [];
    for (const cluster of clusters) if (this.#decrease(cluster) === 0) free.push(cluster);
    const { clusterSize } = this.#geometry;
    for (const { first, count } of runsOf(free)) this.#length.punch(first * clusterSize, count * clusterSize);
  }

  /** Cuts the unused tail off the file. Only after every count is durable. */
  trimTail(): void {
    const { clusterSize } = this.#geometry;
    let end = Math.ceil(this.#length.bytes / clusterSize);
    while (end > 0 && this.#refcounts.get(end - 1) === 0) end--;
    this.#length.shrink(end * clusterSize);
    this.#virginCluster = Math.min(this.#virginCluster, end);
  }

  #findFree(): number {
    return this.#refcounts.findFree(this.#hint, Math.max(this.#hint, this.#refcounts.clusterCapacity));
  }

  #noteUsed(end: number): void {
    if (end > this.#virginCluster) this.#virginCluster = end;
  }

  #increase(cluster: number): void {
    this.#refcounts.set(cluster, this.#refcounts.get(cluster) + 1);
  }

  #decrease(cluster: number): number {
    const count = this.#refcounts.get(cluster);
    if (count === 0) {
      throw new Qcow2Error("CORRUPT", `host cluster ${cluster} is freed although its refcount is already zero`);
    }
    this.#refcounts.set(cluster, count - 1);
    if (count === 1) this.#freed++;
    if (count === 1 && cluster < this.#hint) this.#hint = cluster;
    // What is free may become anything, so nothing more is packed into it.
    if (
      count === 1 &&
      this.#packedEnd !== undefined &&
      Math.floor(this.#packedEnd / this.#geometry.clusterSize) === cluster
    ) {
      this.#packedEnd = undefined;
    }
    return count - 1;
  }
}

/** Neighbouring clusters together; sorts its input. */
function runsOf(clusters: number[]): readonly { readonly first: number; readonly count: number }[] {
  const runs: { readonly first: number; count: number }[] = [];
  for (const cluster of clusters.sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === cluster) last.count++;
    else runs.push({ first: cluster, count: 1 });
  }
  return runs;
}
