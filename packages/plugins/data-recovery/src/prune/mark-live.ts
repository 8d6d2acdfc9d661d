import { isZeroHash } from "../repository/blob.ts";
import type { BlobHash } from "../repository/blob.ts";
import { type IndexView, Marks } from "../repository/blob-index.ts";
import type { Repository } from "../repository/repository.ts";
import { chunkCountOf, depthOf, fanOut } from "../tree/tree-shape.ts";
import { walkTree } from "../tree/walk-tree.ts";
import type { DiskProgress, RunStore } from "../backup/run-record.ts";
import { hashBytes } from "../repository/blob.ts";

/** Marks every blob that a recovery point needs, or a run that was interrupted. Throws `DATA_LOSS` when that can't be told. */
export async function markLive(
  repository: Repository,
  view: IndexView,
  { runs, signal }: { readonly runs: RunStore; readonly signal: AbortSignal },
): Promise<Marks> {
  repository.points.assertReadable();
  const marks = new Marks();
  const markTree = (root: BlobHash, depth: number, chunkCount: number): void => {
    const enter = (hash: BlobHash): boolean => {
      signal.throwIfAborted();
      const place = view.find(hash);
      // One that is not in the index fails when it is read.
      return place === undefined || marks.add(place);
    };
    const read = (hash: BlobHash): Buffer => repository.readBlob("node", hash, view);
    for (const { hash } of walkTree({ root, depth, chunkCount, read, enter })) {
      const place = view.find(hash);
      if (place !== undefined) marks.add(place);
    }
  };
  const markDisk = (root: string, capacityBytes: number): void => {
    const chunkCount = chunkCountOf(capacityBytes, repository.chunkBytes);
    markTree(Buffer.from(root, "hex"), depthOf(chunkCount), chunkCount);
  };
  for (const { point, contents } of repository.points.list()) {
    // A long walk lets others work in between.
    await new Promise((resolve) => setImmediate(resolve));
    for (const [i, { root }] of contents.entries()) markDisk(root, point.disks[i]?.capacityBytes ?? 0);
  }
  for (const run of await runs.list()) {
    for (const [i, plan] of (run.taken?.disks ?? []).entries()) {
      if (plan.base !== undefined) markDisk(plan.base.root, plan.base.capacityBytes);
      const progress = await runs.progress(run, i);
      if (progress?.root !== undefined) markDisk(progress.root, plan.capacityBytes);
      else if (progress !== undefined) markPath(progress, markTree, (hash) => view.find(hash), marks);
    }
  }
  return marks;
}

/** Marks what the nodes name that a run has open. */
function markPath(
  progress: DiskProgress,
  markTree: (root: BlobHash, depth: number, chunkCount: number) => void,
  find: IndexView["find"],
  marks: Marks,
): void {
  for (const [level, { node }] of progress.tree.path.entries()) {
    const content = Buffer.from(node, "base64");
    for (let at = 0; at + hashBytes <= content.length; at += hashBytes) {
      const hash = content.subarray(at, at + hashBytes);
      if (isZeroHash(hash)) continue;
      if (level > 0) {
        markTree(hash, level, fanOut ** level);
        continue;
      }
      const place = find(hash);
      if (place !== undefined) marks.add(place);
    }
  }
}
