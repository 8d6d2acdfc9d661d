import { roundUp } from "./geometry.ts";

/** What a host cluster serves as. */
export type ClusterUse =
  | "header"
  | "refcount table"
  | "refcount block"
  | "L1 table"
  | "L2 table"
  | "data"
  | "compressed data"
  | "snapshot table"
  | "bitmap";

const USES: readonly ClusterUse[] = [
  "header",
  "refcount table",
  "refcount block",
  "L1 table",
  "L2 table",
  "data",
  "compressed data",
  "snapshot table",
  "bitmap",
];

/** Uses of which a cluster can serve several tables at once: snapshots share L2 tables and data, compressed clusters share sectors. */
const SHAREABLE: ReadonlySet<ClusterUse> = new Set(["L2 table", "data", "compressed data"]);

const CHUNK = 4096;

/** References to host clusters as the tables make them, sparse, so that a far-away reference costs one small chunk. */
export class ReferenceCount {
  readonly #clusterSize: number;
  readonly #fileEnd: number;
  readonly #counts = new Map<number, Uint32Array>();
  readonly #uses = new Map<number, Uint8Array>();

  constructor(clusterSize: number, fileSize: number) {
    this.#clusterSize = clusterSize;
    this.#fileEnd = roundUp(fileSize, clusterSize);
  }

  /** Counts a reference to a range. Returns what is wrong with it, if anything is. */
  add(offset: number, bytes: number, use: ClusterUse): string | undefined {
    if (offset + bytes > this.#fileEnd) return `the ${use} at ${offset} lies outside the file`;
    const first = Math.floor(offset / this.#clusterSize);
    const end = Math.ceil((offset + bytes) / this.#clusterSize);
    let problem: string | undefined;
    for (let cluster = first; cluster < end; cluster++) {
      const chunk = Math.floor(cluster / CHUNK);
      let counts = this.#counts.get(chunk);
      let uses = this.#uses.get(chunk);
      if (!counts || !uses) {
        counts = new Uint32Array(CHUNK);
        uses = new Uint8Array(CHUNK);
        this.#counts.set(chunk, counts);
        this.#uses.set(chunk, uses);
      }
      const at = cluster % CHUNK;
      const known = USES[(uses[at] ?? 0) - 1];
      if (
        known !== undefined &&
        (!SHAREABLE.has(use) || !SHAREABLE.has(known) || (known === "L2 table") !== (use === "L2 table"))
      ) {
        problem = `the ${use} at ${offset} overlaps the ${known} at ${cluster * this.#clusterSize}`;
      }
      uses[at] = USES.indexOf(use) + 1;
      counts[at] = (counts[at] ?? 0) + 1;
    }
    return problem;
  }

  get(cluster: number): number {
    return this.#counts.get(Math.floor(cluster / CHUNK))?.[cluster % CHUNK] ?? 0;
  }

  /** Clusters that are referenced, in ascending order. */
  *referenced(): Generator<number> {
    for (const chunk of [...this.#counts.keys()].sort((left, right) => left - right)) {
      const counts = this.#counts.get(chunk);
      for (let at = 0; counts && at < CHUNK; at++) if (counts[at] !== 0) yield chunk * CHUNK + at;
    }
  }
}
