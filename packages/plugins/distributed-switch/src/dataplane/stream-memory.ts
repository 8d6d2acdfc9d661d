import { TAIL_BYTES } from "./frame-splitter.ts";

/**
 * Memory that all streams of this thread share. Left to itself Node allocates 64 KiB for every read, and collecting that garbage costs
 * more than switching the frames in it; and streams that are silent shall cost nothing.
 *
 * Sharing is sound because a read and all that is done with it are one turn of the event loop: whoever keeps a frame for longer copies it.
 */

/** How much one read takes in: about what a Unix socket with the system's default buffers holds. */
const READ_BYTES = 256 * 1024;

/** What is read lies here from `READ_AT`, with room before it for what the read before left. */
export const readMemory: Buffer = Buffer.allocUnsafeSlow(TAIL_BYTES + READ_BYTES);
export const READ_AT: number = TAIL_BYTES;
/** What sockets read into. */
export const readBuffer: Buffer = readMemory.subarray(READ_AT);

/** A piece of memory: adjacent records in it are one run. */
export interface Run {
  readonly buffer: Buffer;
  readonly from: number;
  to: number;
}

let gathered: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * The runs in one piece, so that one system call writes them: copying costs less than telling the kernel of each run. It holds until the
 * next call, unless `keepGathered` says that a write goes on reading it.
 */
export function gather(runs: readonly Run[], octets: number): Buffer {
  if (gathered.length < octets) gathered = Buffer.allocUnsafeSlow(octets);
  return copyRuns(runs, gathered).subarray(0, octets);
}

/** Leaves what was gathered last to the write that has it. */
export function keepGathered(): void {
  gathered = Buffer.allocUnsafeSlow(gathered.length);
}

/** The runs in memory of their own, for a write that must wait. */
export function gatherApart(runs: readonly Run[], octets: number): Buffer {
  return copyRuns(runs, Buffer.allocUnsafe(octets));
}

function copyRuns(runs: readonly Run[], target: Buffer): Buffer {
  let at = 0;
  for (const { buffer, from, to } of runs) at += buffer.copy(target, at, from, to);
  return target;
}
