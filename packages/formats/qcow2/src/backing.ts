import { lstatSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import type { BlockSource } from "./block-source.ts";
import type { BackingReference } from "./header.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

/** What a header asks for: a name that must not be trusted, and the image that names it. */
export interface BackingRequest {
  readonly reference: BackingReference;
  readonly imagePath: string;
  /** 1 for the backing of the image that was opened, 2 for the backing of that, and so on. */
  readonly depth: number;
}

/** Where the backing is and what it is, as the caller's catalogue says; or a disk that the caller opened. */
export type ResolvedBacking =
  | { readonly path: string; readonly format: "qcow2" | "raw" }
  | { readonly source: BlockSource };

/** Decides what a backing reference means. It may throw; returning `undefined` refuses the reference. */
export type BackingResolver = (request: BackingRequest) => ResolvedBacking | undefined;

function refuse(request: BackingRequest, why: string): Qcow2Error {
  return new Qcow2Error(
    "BACKING_REFUSED",
    `'${request.imagePath}' names the backing '${request.reference.path}': ${why}`,
  );
}

/**
 * A resolver that follows references inside one folder only.
 *
 * Refuses anything that is not a plain file name or path: `json:` and every other scheme, absolute paths and `..` that leave the folder,
 * symbolic links anywhere below the folder, devices, sockets and FIFOs; and a header that does not state the format, since guessing the
 * format of a disk that a guest can write lets the guest choose it.
 */
export function backingFolder(folder: string): BackingResolver {
  const root = realpathSync(folder);
  return (request) => {
    const { path, format } = request.reference;
    if (format !== "qcow2" && format !== "raw") {
      throw refuse(request, format === undefined ? "its format is not stated" : "its format is not qcow2 or raw");
    }
    const inside = pathInside({
      root,
      folder,
      path,
      imagePath: request.imagePath,
      refuse: (why) => refuse(request, why),
    });
    if (inside === undefined) throw new Qcow2Error("BACKING_MISSING", refuse(request, "it does not exist").message);
    return { path: inside, format };
  };
}

/** A name from a header and the folder that it must stay in. */
export interface UntrustedPath {
  /** The real path of `folder`. */
  readonly root: string;
  readonly folder: string;
  readonly path: string;
  readonly imagePath: string;
  readonly refuse: (why: string) => Qcow2Error;
}

/** The regular file that a name means, or `undefined` when there is none. Throws what `refuse` makes when the name must not be followed. */
export function pathInside(untrusted: UntrustedPath): string | undefined {
  const { root, folder, path, imagePath, refuse } = untrusted;
  if (path.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(path)) throw refuse("it is not a plain path");
  let target: string;
  try {
    target = isAbsolute(path) ? resolve(path) : resolve(realpathSync(dirname(imagePath)), path);
  } catch (error) {
    throw toQcow2Error(error, `cannot resolve what '${imagePath}' names`);
  }
  const inside = relative(isAbsolute(path) && !target.startsWith(root + sep) ? resolve(folder) : root, target);
  if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw refuse("it leaves the allowed folder");
  }
  let current = root;
  const parts = inside.split(sep);
  for (const [index, part] of parts.entries()) {
    current = resolve(current, part);
    const status = lstatSync(current, { throwIfNoEntry: false });
    if (!status) return undefined;
    if (status.isSymbolicLink()) throw refuse("a symbolic link is on the way");
    if (index === parts.length - 1 ? !status.isFile() : !status.isDirectory()) {
      throw refuse("it is not a regular file");
    }
  }
  return current;
}
