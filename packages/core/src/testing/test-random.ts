import type { Random } from "../context/operation-context.ts";

/** Randomness that repeats: the same seed gives the same numbers and ids (mulberry32). */
export function createTestRandom(seed = 1): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return {
    next,
    uuid: () =>
      "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (slot) => {
        const digit = Math.floor(next() * 16);
        return (slot === "x" ? digit : (digit & 3) | 8).toString(16);
      }),
  };
}
