import { type BlobHash, type BlobKind, hashBytes, isZero, isZeroHash, zeroHash } from "../repository/blob.ts";
import type { StoredBlob } from "../repository/blob-writer.ts";
import { damaged } from "../repository/repository-failure.ts";
import { fanOut, nodeBytes } from "./tree-shape.ts";

/** Where a tree's nodes come from and go to. */
export interface NodeStore {
  read(hash: BlobHash): Buffer;
  put(kind: BlobKind, content: Buffer): Promise<StoredBlob>;
}

/** What a tree is built on: another one's root, or nothing. */
export interface TreeBase {
  readonly root: BlobHash;
  readonly depth: number;
  /** How many of its chunks are not zero. */
  readonly dataChunks: number;
}

/** Where a writer has come to, as plain data, to go on from. */
export interface TreeProgress {
  readonly dataChunks: number;
  readonly storedBytes: number;
  /** The open nodes from the leaf up: their place in their level, content in base64, and whether it changed. */
  readonly path: readonly { readonly index: number; readonly node: string; readonly changed: boolean }[];
}

interface OpenNode {
  index: number;
  node: Buffer;
  changed: boolean;
}

/**
 * Writes the list of a disk's chunks: a tree of nodes of 256 hashes, shared with the tree that it is based on wherever nothing changed. Chunks are set in
 * order, so only one node of each level is in memory.
 */
export class TreeWriter {
  readonly #store: NodeStore;
  /** From the leaf up. */
  readonly #path: OpenNode[];
  dataChunks: number;
  storedBytes: number;

  private constructor(store: NodeStore, path: OpenNode[], dataChunks: number, storedBytes: number) {
    this.#store = store;
    this.#path = path;
    this.dataChunks = dataChunks;
    this.storedBytes = storedBytes;
  }

  /** Begins a tree. One that is deeper than its base, because the disk has grown, has the base as its first part. */
  static begin(store: NodeStore, depth: number, base: TreeBase | undefined): TreeWriter {
    const path: OpenNode[] = [];
    for (let level = depth; level >= 1; level--) {
      const node = Buffer.alloc(nodeBytes);
      let changed = false;
      const above = path[0];
      if (base !== undefined && level > base.depth) {
        if (level === base.depth + 1) {
          base.root.copy(node);
          changed = true;
        }
      } else {
        const hash = above === undefined ? (base?.root ?? zeroHash) : above.node.subarray(0, hashBytes);
        if (!isZeroHash(hash)) store.read(hash).copy(node);
      }
      path.unshift({ index: 0, node, changed });
    }
    // A node that was put on top changes all above it.
    for (const [i, each] of path.entries()) if (path[i - 1]?.changed === true) each.changed = true;
    return new TreeWriter(store, path, base?.dataChunks ?? 0, 0);
  }

  /** Goes on from where another writer had come to. */
  static resume(store: NodeStore, progress: TreeProgress): TreeWriter {
    const path = progress.path.map(({ index, node, changed }) => ({
      index,
      node: Buffer.from(node, "base64"),
      changed,
    }));
    if (path.length === 0 || path.some(({ node }) => node.length !== nodeBytes)) {
      throw damaged("a run's progress is not what it should be");
    }
    return new TreeWriter(store, path, progress.dataChunks, progress.storedBytes);
  }

  get progress(): TreeProgress {
    return {
      dataChunks: this.dataChunks,
      storedBytes: this.storedBytes,
      path: this.#path.map(({ index, node, changed }) => ({ index, node: node.toString("base64"), changed })),
    };
  }

  /** Sets a chunk. Each call has a higher one than the call before. */
  async set(chunk: number, hash: BlobHash): Promise<void> {
    await this.#seek(chunk);
    const leaf = this.#path[0] as OpenNode;
    const at = (chunk % fanOut) * hashBytes;
    const before = leaf.node.subarray(at, at + hashBytes);
    if (before.equals(hash)) return;
    if (isZeroHash(before)) this.dataChunks++;
    else if (isZeroHash(hash)) this.dataChunks--;
    hash.copy(leaf.node, at);
    leaf.changed = true;
  }

  /** Ends the tree, and returns its root. */
  async finish(): Promise<BlobHash> {
    for (let level = 0; level < this.#path.length - 1; level++) await this.#close(level);
    return this.#storeNode(this.#path.at(-1) as OpenNode);
  }

  async #seek(chunk: number): Promise<void> {
    const placeAt = (level: number): number => Math.floor(chunk / fanOut ** (level + 1));
    let level = 0;
    while ((this.#path[level] as OpenNode).index !== placeAt(level)) level++;
    for (let below = 0; below < level; below++) await this.#close(below);
    for (let below = level - 1; below >= 0; below--) {
      const index = placeAt(below);
      const parent = this.#path[below + 1] as OpenNode;
      const at = (index % fanOut) * hashBytes;
      const hash = parent.node.subarray(at, at + hashBytes);
      const node = Buffer.alloc(nodeBytes);
      if (!isZeroHash(hash)) this.#store.read(hash).copy(node);
      this.#path[below] = { index, node, changed: false };
    }
  }

  async #close(level: number): Promise<void> {
    const open = this.#path[level] as OpenNode;
    if (!open.changed) return;
    const parent = this.#path[level + 1] as OpenNode;
    const hash = await this.#storeNode(open);
    hash.copy(parent.node, (open.index % fanOut) * hashBytes);
    parent.changed = true;
    open.changed = false;
  }

  async #storeNode({ node }: OpenNode): Promise<BlobHash> {
    if (isZero(node)) return zeroHash;
    const { hash, storedBytes } = await this.#store.put("node", Buffer.from(node));
    this.storedBytes += storedBytes;
    return hash;
  }
}
