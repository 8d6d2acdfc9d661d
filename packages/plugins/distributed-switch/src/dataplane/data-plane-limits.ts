import { z } from "zod";

/** What bounds a data plane's memory and work. A changed limit of queues holds for ports that are made from then on. */
export interface DataPlaneLimits {
  /** How many addresses are learned in all, per switch and host. */
  readonly learnedAddresses: number;
  /** How many frames a second a port may send whose sender is known elsewhere; a port that sends more is taken for a loop. */
  readonly strangersPerSecond: number;
  /** How many octets may wait for a NIC that reads too slowly. */
  readonly portQueueBytes: number;
  /** How many octets may wait for all NICs together: a queue may be no longer than what is free of them. */
  readonly queueBytes: number;
  /** What a port in gate `hold` keeps of what its VM sends: frames, and octets of them. */
  readonly heldFrames: number;
  readonly heldBytes: number;
}

/** What holds where nothing is said. */
export const defaultLimits: DataPlaneLimits = {
  learnedAddresses: 65_536,
  strangersPerSecond: 256,
  portQueueBytes: 1024 * 1024,
  queueBytes: 256 * 1024 * 1024,
  heldFrames: 4096,
  heldBytes: 4 * 1024 * 1024,
};

const mebibyte = 1024 * 1024;

/** Schema of limits, some or all of them. Below the least of them a switch would not work, above the largest they bound nothing. */
export const dataPlaneLimits: z.ZodType<Partial<DataPlaneLimits>> = z.strictObject({
  learnedAddresses: z.int().min(16).max(1_048_576).exactOptional(),
  strangersPerSecond: z.int().min(16).max(1_000_000).exactOptional(),
  portQueueBytes: z
    .int()
    .min(65_536)
    .max(256 * mebibyte)
    .exactOptional(),
  queueBytes: z
    .int()
    .min(mebibyte)
    .max(65_536 * mebibyte)
    .exactOptional(),
  heldFrames: z.int().min(1).max(1_048_576).exactOptional(),
  heldBytes: z
    .int()
    .min(16_384)
    .max(1024 * mebibyte)
    .exactOptional(),
});
