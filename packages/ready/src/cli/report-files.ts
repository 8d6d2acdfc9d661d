import { constants } from "node:fs";
import { access, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { VdcError } from "@vdc-os/core";

/** Rejects with `FAILED_PRECONDITION` unless each of the files can be written: to be told before a run, not after it. */
export async function assertWritable(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory() === true) throw cannotWrite(path, "it is a folder");
    try {
      await access(there === undefined ? dirname(path) : path, constants.W_OK);
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
  }
}

/** Writes a report. Rejects with `FAILED_PRECONDITION`. */
export async function writeReport(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (cause) {
    throw cannotWrite(path, cause);
  }
}

function cannotWrite(path: string, cause: unknown): VdcError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VdcError("FAILED_PRECONDITION", `'${path}' can't be written: ${why}`, { cause });
}
