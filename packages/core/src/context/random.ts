import type { Random } from "./operation-context.ts";

/** The machine's randomness. */
export const systemRandom: Random = {
  next: () => Math.random(),
  uuid: () => crypto.randomUUID(),
};
