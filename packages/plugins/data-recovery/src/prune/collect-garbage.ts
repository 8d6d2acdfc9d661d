import { decodeRecord } from "../repository/index-file.ts";
import { type IndexView, type Marks, samePlace } from "../repository/blob-index.ts";
import type { Repository } from "../repository/repository.ts";
import type { RunStore } from "../backup/run-record.ts";
import { markLive } from "./mark-live.ts";

/** A pack of which less than this is needed is written anew without the rest. */
const worthKeeping = 0.5;

/**
 * Gives back the space of blobs that nothing needs. Packs go only once nothing names them: what is still needed of them is copied first, then the index
 * that no longer names them takes effect, then they are removed. A kill in between leaves too much, and never too little; the next one takes it.
 *
 * The caller has the repository alone.
 */
export async function collectGarbage(
  repository: Repository,
  options: { readonly runs: RunStore; readonly signal: AbortSignal },
): Promise<void> {
  const { index, packs } = repository;
  const { signal } = options;
  const view = index.view();
  try {
    const marks = await markLive(repository, view, options);
    const live = liveBytes(view, marks);
    const doomed = new Set<number>();
    const strays: number[] = [];
    for (const pack of await packs.list()) {
      const needed = live.get(pack);
      if (needed === undefined) strays.push(pack);
      else if (needed < worthKeeping * (await packs.sizeOf(pack))) doomed.add(pack);
    }
    if (doomed.size > 0) {
      const writer = repository.writer();
      try {
        for (const pack of doomed) {
          if ((live.get(pack) ?? 0) === 0) continue;
          for (const { kind, hash, place } of packs.scan(pack)) {
            signal.throwIfAborted();
            const known = view.find(hash);
            if (known === undefined || !samePlace(known.record, place) || !marks.has(known.file, known.ordinal))
              continue;
            await writer.putEncoded(kind, hash, packs.readEncoded(place));
          }
          // What is pending is in memory.
          if (writer.unflushedBlobs > 100_000) await writer.flush({ merge: false });
        }
        await writer.flush({ merge: false });
      } finally {
        await writer.abandon();
      }
      signal.throwIfAborted();
      await index.dropPacks(doomed);
    }
    await packs.remove([...strays, ...doomed]);
  } finally {
    index.release(view);
  }
}

/** How much of each pack that the index names is needed. */
function liveBytes(view: IndexView, marks: Marks): Map<number, number> {
  const live = new Map<number, number>();
  for (const file of view.files) {
    let ordinal = 0;
    for (const bytes of file.records()) {
      const { pack, length } = decodeRecord(bytes);
      live.set(pack, (live.get(pack) ?? 0) + (marks.has(file, ordinal) ? length : 0));
      ordinal++;
    }
  }
  return live;
}
