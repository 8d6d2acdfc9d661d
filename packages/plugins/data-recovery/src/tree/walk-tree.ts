import { type BlobHash, hashBytes, isZeroHash } from "../repository/blob.ts";
import { damaged } from "../repository/repository-failure.ts";
import { fanOut, nodeBytes } from "./tree-shape.ts";

/** A chunk of a disk that is not zero. */
export interface TreeChunk {
  readonly chunk: number;
  readonly hash: BlobHash;
}

/** Options of {@link walkTree}. */
export interface WalkOptions {
  readonly root: BlobHash;
  readonly depth: number;
  readonly chunkCount: number;
  readonly read: (hash: BlobHash) => Buffer;
  /** Asked before a node is read: false leaves out all below it. */
  readonly enter?: (hash: BlobHash) => boolean;
  /** Told of a node that can't be read; the walk goes on after it. Without it the failure ends the walk. */
  readonly onFailure?: (failure: { readonly error: unknown; readonly chunk: number; readonly chunks: number }) => void;
}

/** The chunks of a tree that are not zero, in order. Throws `DATA_LOSS` for what is no tree of that size. */
export function* walkTree(options: WalkOptions): Generator<TreeChunk> {
  if (!isZeroHash(options.root)) yield* walkNode(options, options.root, options.depth, 0);
}

function* walkNode(options: WalkOptions, hash: BlobHash, level: number, first: number): Generator<TreeChunk> {
  if (options.enter?.(hash) === false) return;
  const chunksBelow = fanOut ** (level - 1);
  let node: Buffer;
  try {
    node = options.read(hash);
    if (node.length !== nodeBytes) throw damaged(`node '${hash.toString("hex")}' has ${node.length} bytes`);
  } catch (error) {
    if (options.onFailure === undefined) throw error;
    const chunks = Math.min(chunksBelow * fanOut, options.chunkCount - first);
    options.onFailure({ error, chunk: first, chunks });
    return;
  }
  for (let i = 0; i < fanOut; i++) {
    const child = node.subarray(i * hashBytes, (i + 1) * hashBytes);
    if (isZeroHash(child)) continue;
    const chunk = first + i * chunksBelow;
    if (chunk >= options.chunkCount) throw damaged(`node '${hash.toString("hex")}' goes beyond the disk's end`);
    if (level === 1) yield { chunk, hash: Buffer.from(child) };
    else yield* walkNode(options, Buffer.from(child), level - 1, chunk);
  }
}
