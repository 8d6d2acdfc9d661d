import type { BlockExtent } from "./block-backend.ts";
import { BASE_ALLOCATION_ID } from "./option-haggling.ts";
import { STATE_HOLE, STATE_ZERO } from "./wire-constants.ts";

/** A reply may end early, and a client then asks on: so much is one reply at most. */
const MAX_DESCRIPTORS = 8192;

const STATES: Readonly<Record<BlockExtent["kind"], number>> = {
  data: 0,
  zero: STATE_ZERO,
  hole: STATE_HOLE | STATE_ZERO,
};

/**
 * The payload of a block status chunk for `base:allocation`: equal neighbours merged, never more than `length` bytes described, and
 * always one descriptor at least, as the protocol demands.
 */
export function encodeBlockStatus(extents: Iterable<BlockExtent>, length: number, isOne: boolean): Buffer {
  const lengths: number[] = [];
  const states: number[] = [];
  let left = length;
  for (const extent of extents) {
    const bytes = Math.min(extent.length, left);
    if (bytes <= 0) continue;
    const state = STATES[extent.kind];
    const last = lengths.length - 1;
    if (states[last] === state) lengths[last] = (lengths[last] as number) + bytes;
    else if (lengths.length === (isOne ? 1 : MAX_DESCRIPTORS)) break;
    else {
      lengths.push(bytes);
      states.push(state);
    }
    left -= bytes;
    if (left === 0) break;
  }
  if (lengths.length === 0) {
    lengths.push(length);
    states.push(0);
  }
  const payload = Buffer.alloc(4 + 8 * lengths.length);
  payload.writeUInt32BE(BASE_ALLOCATION_ID);
  lengths.forEach((bytes, index) => {
    payload.writeUInt32BE(bytes, 4 + 8 * index);
    payload.writeUInt32BE(states[index] as number, 8 + 8 * index);
  });
  return payload;
}
