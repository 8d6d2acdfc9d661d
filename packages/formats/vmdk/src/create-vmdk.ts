import { link, open, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { randomBytes } from "node:crypto";
import type { DiskSource } from "./disk-source.ts";
import { type StreamOptimizedOptions, streamOptimized } from "./stream-optimized.ts";
import { toVmdkError } from "./vmdk-error.ts";

/** Options of {@link createVmdk}. */
export interface CreateVmdkOptions extends StreamOptimizedOptions {
  readonly path: string;
  readonly source: DiskSource;
}

/**
 * Writes a disk into a new stream-optimized VMDK. The file appears under its name only when it is complete and on disk; whatever fails or is cancelled leaves
 * nothing. Errors: `ALREADY_EXISTS`, `ABORTED`, `NO_SPACE`, `TOO_LARGE`, and what the source throws.
 */
export async function createVmdk(options: CreateVmdkOptions): Promise<void> {
  const { path, source, ...rest } = options;
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}`);
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      for await (const part of streamOptimized(source, { fileName: basename(path), ...rest }))
        await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link fails where the name is taken; renaming would take it.
    await link(temporary, path);
    const folder = await open(dirname(path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw toVmdkError(error, `cannot write '${path}'`);
  } finally {
    await rm(temporary, { force: true });
  }
}
