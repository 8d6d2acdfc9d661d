import { BackingLayer } from "./backing-layer.ts";
import type { ImageCore } from "./image-core.ts";
import { type MissingRead, MissingReads, plainFileOf, readOrMiss } from "./missing-read.ts";
import { readImage, readRun } from "./read-path.ts";

/** For L2 tables, only to have them in the page cache. */
let scratch: Buffer = Buffer.alloc(0);

/**
 * Fills `buffer` from what is in memory, and reads the rest on the thread pool: one disk that is slow must not stop all others that the process
 * serves. Returns a promise only where there is such a rest. With `offloads`, large parts count as such even where they are in memory.
 */
export function readWithoutWaiting(
  core: ImageCore,
  buffer: Uint8Array,
  offset: number,
  offloads = false,
): Promise<void> | undefined {
  if (core.file.readCachedSync === undefined) {
    readImage(core, buffer, offset);
    return undefined;
  }
  const missing = new MissingReads(offloads);
  const { mapping } = core;
  const file = plainFileOf(core);
  for (let done = 0; done < buffer.length; ) {
    const at = offset + done;
    const table = mapping.absentTable(at);
    if (table !== undefined && !fetchTable(core, table, missing))
      return waitAndRepeat(missing.list, core, buffer, offset);
    const run = mapping.lookup(at, buffer.length - done);
    const part = run.length === buffer.length ? buffer : buffer.subarray(done, done + run.length);
    const { backing } = core;
    if (run.kind === "data" && file) readOrMiss(file, part, run.hostOffset, missing);
    else if (run.kind === "unallocated" && backing instanceof BackingLayer && at < backing.sizeBytes) {
      const inside = Math.min(part.length, backing.sizeBytes - at);
      backing.readOrMiss(inside === part.length ? part : part.subarray(0, inside), at, missing);
      if (inside < part.length) part.fill(0, inside);
    } else readRun(core, run, part, at);
    done += run.length;
  }
  return missing.list.length === 0 ? undefined : waitForMissing(missing.list, core, buffer, offset);
}

/** Whether an L2 table is in the page cache; if not, it is added to what is missing. */
function fetchTable(core: ImageCore, position: number, missing: MissingReads): boolean {
  const { clusterSize } = core.geometry;
  if (scratch.length < clusterSize) scratch = Buffer.allocUnsafeSlow(clusterSize);
  const before = missing.list.length;
  readOrMiss(core.file, scratch.subarray(0, clusterSize), position, missing);
  return missing.list.length === before;
}

async function waitAndRepeat(
  missing: readonly MissingRead[],
  core: ImageCore,
  buffer: Uint8Array,
  offset: number,
): Promise<void> {
  await Promise.all(missing.map(readMissing));
  readImage(core, buffer, offset);
}

async function waitForMissing(
  missing: readonly MissingRead[],
  core: ImageCore,
  buffer: Uint8Array,
  offset: number,
): Promise<void> {
  const { mapping } = core;
  const freed = core.writer?.allocator.freedClusters;
  await Promise.all(missing.map(readMissing));
  // A cluster that was given back meanwhile may hold another part of the disk by now. All of it is in memory, so this does not wait either.
  if (core.mapping !== mapping || core.writer?.allocator.freedClusters !== freed) readImage(core, buffer, offset);
}

async function readMissing({ file, buffer, position }: MissingRead): Promise<void> {
  const count = await (file.read?.(buffer, position) ?? file.readSync(buffer, position));
  if (count < buffer.length) buffer.fill(0, count);
}
