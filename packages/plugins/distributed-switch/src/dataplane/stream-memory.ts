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

/** Memory that writes don't read any more, for those to come: congestion must not become garbage. */
const free: Buffer[] = [];
const FREE_LIMIT = 32;

let gathered: Buffer = takeMemory(0);

/** Memory for at least so many octets, which nobody else has. */
export function takeMemory(octets: number): Buffer {
  if (octets > READ_BYTES) return Buffer.allocUnsafeSlow(octets);
  return free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
}

/** Gives memory back that nothing refers to any more. */
export function giveMemory(memory: Buffer): void {
  if (memory.length === READ_BYTES && free.length < FREE_LIMIT) free.push(memory);
}

/**
 * The runs in one piece, so that one system call writes them: copying costs less than telling the kernel of each run. It holds until the
 * next call, unless `keepGathered` takes it.
 */
export function gather(runs: readonly Run[], octets: number): Buffer {
  if (gathered.length < octets) gathered = takeMemory(octets);
  copyRuns(runs, gathered, 0);
  return gathered.subarray(0, octets);
}

/** The memory of what was gathered last, for the write that goes on reading it. */
export function keepGathered(): Buffer {
  const kept = gathered;
  gathered = takeMemory(0);
  return kept;
}

/** Puts the runs one behind the other, from `offset` on. */
export function copyRuns(runs: readonly Run[], target: Buffer, offset: number): void {
  let at = offset;
  for (const { buffer, from, to } of runs) at += buffer.copy(target, at, from, to);
}
