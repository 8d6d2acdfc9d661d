import { Qcow2Error } from "./qcow2-error.ts";

/** What a host cluster serves as. */
export type ClusterUse =
  | "header"
  | "encryption header"
  | "refcount table"
  | "refcount block"
  | "L1 table"
  | "L2 table"
  | "data"
  | "compressed data"
  | "snapshot table"
  | "bitmap directory"
  | "bitmap table"
  | "bitmap data";

const USES: readonly ClusterUse[] = [
  "header",
  "encryption header",
  "refcount table",
  "refcount block",
  "L1 table",
  "L2 table",
  "data",
  "compressed data",
  "snapshot table",
  "bitmap directory",
  "bitmap table",
  "bitmap data",
];
const CODES: Readonly<Record<ClusterUse, number>> = Object.fromEntries(
  USES.map((use, index) => [use, index + 1]),
) as Record<ClusterUse, number>;
/** Plain and compressed data may share a cluster, each of them as often as it likes; L2 tables may share one with each other. */
const DATA = CODES.data;
const COMPRESSED = CODES["compressed data"];
const L2 = CODES["L2 table"];
const USE_MASK = 15;
/** In `uses`: an active entry points to the cluster with the copied flag set, or with it clear. */
export const SEEN_COPIED = 64;
export const SEEN_SHARED = 128;

/** Clusters whose counts are kept together. */
export const REFERENCE_CHUNK = 4096;
const CHUNK: number = REFERENCE_CHUNK;
/** Some 800 million clusters; a file of unknown origin cannot make a reader hold more. */
const MAX_CHUNKS = 200_000;

/** The counts and uses of neighbouring clusters. */
export class ReferenceChunk {
  readonly counts: Uint32Array = new Uint32Array(CHUNK);
  readonly uses: Uint8Array = new Uint8Array(CHUNK);
}

/** References to host clusters as the tables make them: five bytes a cluster, sparse, so that a far-away reference costs one small chunk. */
export class ReferenceCount {
  readonly #clusterSize: number;
  readonly fileBytes: number;
  readonly #chunks = new Map<number, ReferenceChunk>();
  #lastIndex = -1;
  #last: ReferenceChunk | undefined;

  constructor(clusterSize: number, fileBytes: number) {
    this.#clusterSize = clusterSize;
    this.fileBytes = fileBytes;
  }

  /** Whether a range reaches past the end of the file by a cluster or more: the last cluster may be there in part only. */
  leavesFile(offset: number, bytes: number): boolean {
    return offset + bytes - this.fileBytes >= this.#clusterSize;
  }

  /** Counts `weight` references to a range inside the file. Returns what it overlaps that it must not. */
  add(offset: number, bytes: number, use: ClusterUse, weight = 1): string | undefined {
    const first = Math.floor(offset / this.#clusterSize);
    const end = Math.ceil((offset + bytes) / this.#clusterSize);
    let problem: string | undefined;
    for (let cluster = first; cluster < end; cluster++) {
      const known = this.#addOne(cluster, CODES[use], weight);
      if (known !== 0) {
        problem = `the ${use} at ${offset} overlaps the ${USES[known - 1]} at ${cluster * this.#clusterSize}`;
      }
    }
    return problem;
  }

  /** Notes with which copied flag an active entry points to a cluster. */
  noteFlag(cluster: number, copied: boolean): void {
    const { uses } = this.#chunkFor(cluster);
    const at = cluster % CHUNK;
    uses[at] = (uses[at] ?? 0) | (copied ? SEEN_COPIED : SEEN_SHARED);
  }

  get(cluster: number): number {
    return this.#chunkAt(cluster)?.counts[cluster % CHUNK] ?? 0;
  }

  /**
   * As `add` and `noteFlag` for one cluster of plain data inside the file, which is what a check does most. Returns false, and counts nothing, when
   * the cluster is known as something else. `seen` is 0 for an inactive entry.
   */
  addData(cluster: number, weight: number, seen: number): boolean {
    // No remainder here: of numbers that may exceed 2^31 it costs more than all else together.
    const index = Math.floor(cluster / CHUNK);
    const chunk = index === this.#lastIndex && this.#last ? this.#last : this.#chunkFor(cluster);
    const at = cluster - index * CHUNK;
    const use = chunk.uses[at] ?? 0;
    const known = use & USE_MASK;
    if (known !== 0 && known !== DATA && known !== COMPRESSED) return false;
    chunk.uses[at] = (use & ~USE_MASK) | DATA | seen;
    chunk.counts[at] = (chunk.counts[at] ?? 0) + weight;
    return true;
  }

  /** The counts and uses around a cluster, at its remainder by `REFERENCE_CHUNK`; `undefined` where nothing is referenced. */
  chunkAt(cluster: number): ReferenceChunk | undefined {
    return this.#chunkAt(cluster);
  }

  /** The first cluster of each chunk in which something is referenced, in ascending order. */
  chunkStarts(): number[] {
    return [...this.#chunks.keys()].sort((left, right) => left - right).map((index) => index * CHUNK);
  }

  /** Clusters that are referenced, in ascending order. */
  *referenced(): Generator<number> {
    for (const index of [...this.#chunks.keys()].sort((left, right) => left - right)) {
      const counts = this.#chunks.get(index)?.counts;
      for (let at = 0; counts && at < CHUNK; at++) if (counts[at] !== 0) yield index * CHUNK + at;
    }
  }

  #addOne(cluster: number, code: number, weight: number): number {
    const { counts, uses } = this.#chunkFor(cluster);
    const at = cluster % CHUNK;
    const use = uses[at] ?? 0;
    const known = use & USE_MASK;
    uses[at] = (use & ~USE_MASK) | code;
    counts[at] = (counts[at] ?? 0) + weight;
    if (known === 0 || (known === code && (code === L2 || code === DATA || code === COMPRESSED))) return 0;
    return (known === DATA || known === COMPRESSED) && (code === DATA || code === COMPRESSED) ? 0 : known;
  }

  #chunkAt(cluster: number): ReferenceChunk | undefined {
    const index = Math.floor(cluster / CHUNK);
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#last = this.#chunks.get(index);
    }
    return this.#last;
  }

  #chunkFor(cluster: number): ReferenceChunk {
    const known = this.#chunkAt(cluster);
    if (known) return known;
    if (this.#chunks.size >= MAX_CHUNKS) {
      throw new Qcow2Error("TOO_LARGE", "the image refers to more clusters than a check can hold in memory");
    }
    const chunk = new ReferenceChunk();
    this.#chunks.set(this.#lastIndex, chunk);
    this.#last = chunk;
    return chunk;
  }
}
