import { z } from "zod";

/** Config of the plugin: one repository. */
export interface DataRecoveryConfig {
  /** The provider's name. */
  readonly name: string;
  /** The repository's folder, made when it is not there. It describes itself: it can be copied or moved while it is closed, and opened again. */
  readonly directory: string;
  /** The host on which this process runs: disks are attached there to be read and written. */
  readonly host: string;
  /** Into how large parts disks are cut: a power of two from 64 KiB to 1 MiB. Settled when the repository is made. Defaults to 64 KiB. */
  readonly chunkBytes?: number | undefined;
  /** After how many new bytes a run that is killed can go on. Defaults to 256 MiB. */
  readonly flushBytes?: number | undefined;
}

/** Schema of {@link DataRecoveryConfig}. */
export const dataRecoveryConfig: z.ZodType<DataRecoveryConfig> = z.object({
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/),
  directory: z.string().min(1),
  host: z.string().min(1),
  chunkBytes: z
    .int()
    .min(64 * 1024)
    .max(1024 * 1024)
    .refine((value) => (value & (value - 1)) === 0, "it must be a power of two")
    .optional(),
  flushBytes: z
    .int()
    .min(64 * 1024)
    .optional(),
});
