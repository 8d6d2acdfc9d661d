import { chmodSync, closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { VdcError } from "@vdc-os/core";
import { syncFolder } from "./open-database.ts";
import { sqliteFailure } from "./sqlite-failure.ts";

/**
 * Writes a consistent copy of a database into a new file of mode 0600, synced, and returns the revision that it has.
 *
 * The copy is made under another name and then linked, so the file is there whole or not at all, and none is overwritten.
 */
export function writeBackup(database: DatabaseSync, path: string, unique: string, revision: () => number): number {
  if (existsSync(path)) throw taken(path);
  const partial = `${path}.${unique}.partial`;
  try {
    database.prepare("VACUUM INTO ?").run(partial);
    chmodSync(partial, 0o600);
    const descriptor = openSync(partial, "r+");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(partial, path);
    syncFolder(dirname(path));
    return revision();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw taken(path);
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new VdcError("PERMISSION_DENIED", `the backup '${path}' can't be written (${code})`, { cause: error });
    }
    if (code === "ENOSPC") {
      throw new VdcError("RESOURCE_EXHAUSTED", `no space is left for the backup '${path}'`, { cause: error });
    }
    throw sqliteFailure(path, error);
  } finally {
    rmSync(partial, { force: true });
  }
}

function taken(path: string): VdcError {
  return new VdcError(
    "ALREADY_EXISTS",
    `'${path}' exists already, and a backup overwrites nothing: choose a new name`,
    {
      details: { path },
    },
  );
}
