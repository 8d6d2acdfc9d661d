import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { VdcError } from "@vdc-os/core";

/**
 * Writes a file of mode 0600 in one step: after a crash it is the old one or the new one, whole. On disk when this returns.
 * Makes its folder (mode 0700) when that is absent.
 */
export function replaceFile(path: string, text: string): void {
  const folder = dirname(path);
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const descriptor = openSync(partial, "wx", 0o600);
    try {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, path);
    syncFolder(folder);
  } catch (error) {
    rmSync(partial, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new VdcError("RESOURCE_EXHAUSTED", `no space is left for '${path}'`, { details: { path } });
    }
    throw new VdcError("PERMISSION_DENIED", `'${path}' can't be written (${code}): check the folder's owner and mode`, {
      details: { path },
    });
  }
}

/** Removes what writers that were killed left of {@link replaceFile}. */
export function removePartials(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`${basename(path)}.`) && name.endsWith(".partial")) rmSync(join(folder, name), { force: true });
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
