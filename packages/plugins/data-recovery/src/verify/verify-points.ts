import { isVdcError } from "@vdc-os/core";
import type { Damage, VerifyReport } from "@vdc-os/core/backup/v1";
import { Marks } from "../repository/blob-index.ts";
import type { PointManifest } from "../repository/point-manifest.ts";
import type { Repository } from "../repository/repository.ts";
import { chunkCountOf, depthOf } from "../tree/tree-shape.ts";
import { type WalkOptions, walkTree } from "../tree/walk-tree.ts";

/** Options of {@link verifyPoints}. */
export interface VerifyOptions {
  readonly points: readonly PointManifest[];
  readonly signal: AbortSignal;
  readonly onProgress: (chunks: number) => void;
}

const maxDamages = 100;

/** Reads all that points need, each blob once, and holds it against its hash. Damage is told for each point that it harms. */
export async function verifyPoints(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const { points, signal } = options;
  const view = repository.index.view();
  try {
    const marks = new Marks();
    const bad = new Set<string>();
    let chunks = 0;
    let bytes = 0;
    for (const disk of disksOf(repository, points)) {
      const walk: WalkOptions = {
        ...disk.walk,
        read: (hash) => repository.readBlob("node", hash, view),
        enter: (hash) => {
          const place = view.find(hash);
          return place === undefined || marks.add(place);
        },
        onFailure: () => bad.add("node"),
      };
      for (const { hash } of tolerant(walk, () => bad.add("node"))) {
        signal.throwIfAborted();
        const place = view.find(hash);
        if (place !== undefined && !marks.add(place)) continue;
        try {
          bytes += repository.readBlob("chunk", hash, view).length;
          chunks++;
        } catch (error) {
          if (!isVdcError(error, "DATA_LOSS")) throw error;
          if (bad.size < 1_000_000) bad.add(hash.toString("latin1"));
        }
        if (chunks % 64 === 0) {
          options.onProgress(chunks);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }
    const damages = bad.size === 0 ? [] : findDamages(repository, options, bad);
    return { recoveryPoints: points.length, chunks, bytes, damages };
  } finally {
    repository.index.release(view);
  }
}

/** Which points what is bad harms, and where. */
function findDamages(repository: Repository, options: VerifyOptions, bad: ReadonlySet<string>): readonly Damage[] {
  const damages: Damage[] = [];
  const { chunkBytes } = repository;
  for (const disk of disksOf(repository, options.points)) {
    const tell = (chunk: number, count: number, message: string): void => {
      if (damages.length === maxDamages) return;
      const offset = chunk * chunkBytes;
      const length = Math.min(count * chunkBytes, disk.capacityBytes - offset);
      damages.push({ recoveryPointId: disk.recoveryPointId, diskId: disk.diskId, offset, length, message });
    };
    const walk: WalkOptions = {
      ...disk.walk,
      read: (hash) => repository.readBlob("node", hash),
      onFailure: ({ error, chunk, chunks }) => tell(chunk, chunks, messageOf(error)),
    };
    const { chunkCount } = disk.walk;
    for (const { chunk, hash } of tolerant(walk, (error) => tell(0, chunkCount, messageOf(error)))) {
      options.signal.throwIfAborted();
      if (bad.has(hash.toString("latin1"))) tell(chunk, 1, `chunk '${hash.toString("hex")}' is damaged or not there`);
    }
  }
  return damages;
}

/** A walk that ends at what is no tree, and tells of it. */
function* tolerant(walk: WalkOptions, onEnd: (error: unknown) => void): ReturnType<typeof walkTree> {
  try {
    yield* walkTree(walk);
  } catch (error) {
    if (!isVdcError(error, "DATA_LOSS")) throw error;
    onEnd(error);
  }
}

function* disksOf(
  repository: Repository,
  points: readonly PointManifest[],
): Generator<{
  readonly recoveryPointId: string;
  readonly diskId: string;
  readonly capacityBytes: number;
  readonly walk: Pick<WalkOptions, "root" | "depth" | "chunkCount">;
}> {
  for (const { point, contents } of points) {
    for (const [i, { root }] of contents.entries()) {
      const { diskId = "", capacityBytes = 0 } = point.disks[i] ?? {};
      const chunkCount = chunkCountOf(capacityBytes, repository.chunkBytes);
      const walk = { root: Buffer.from(root, "hex"), depth: depthOf(chunkCount), chunkCount };
      yield { recoveryPointId: point.recoveryPointId, diskId, capacityBytes, walk };
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
