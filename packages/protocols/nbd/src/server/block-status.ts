import type { StateRun } from "./meta-context.ts";

/** A reply may end early, and a client then asks on: so much is one reply at most. */
const MAX_DESCRIPTORS = 8192;

/**
 * The payload of a block status chunk for the context with the number `id`: equal neighbours merged, never more than `length` bytes
 * described, and always one descriptor at least, as the protocol demands.
 */
export function encodeBlockStatus(id: number, runs: Iterable<StateRun>, length: number, isOne: boolean): Buffer {
  const lengths: number[] = [];
  const states: number[] = [];
  let left = length;
  for (const run of runs) {
    const bytes = Math.min(run.length, left);
    if (bytes <= 0) continue;
    const last = lengths.length - 1;
    if (states[last] === run.state) lengths[last] = (lengths[last] as number) + bytes;
    else if (lengths.length === (isOne ? 1 : MAX_DESCRIPTORS)) break;
    else {
      lengths.push(bytes);
      states.push(run.state);
    }
    left -= bytes;
    if (left === 0) break;
  }
  if (lengths.length === 0) {
    lengths.push(length);
    states.push(0);
  }
  const payload = Buffer.alloc(4 + 8 * lengths.length);
  payload.writeUInt32BE(id);
  lengths.forEach((bytes, index) => {
    payload.writeUInt32BE(bytes, 4 + 8 * index);
    payload.writeUInt32BE(states[index] as number, 8 + 8 * index);
  });
  return payload;
}
