import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { VdcError } from "../error/vdc-error.ts";

/** A file of a package: its path in the package with `/` between names, and the SHA-256 of its content in hexadecimal. */
export interface PackageFile {
  readonly path: string;
  readonly sha256: string;
}

/** More files than this is no package. */
const maxFiles = 100_000;

/**
 * Whether a path belongs to a package's digest. What installers add or rename does not: `node_modules`, in which they put its
 * dependencies and links to their programs, and the ignore files, which npm renames. So what the digest says nothing of is a package's
 * dependencies, bundled ones too.
 */
export function isDigested(path: string): boolean {
  const names = path.split("/");
  return names[0] !== "node_modules" && !/^\.(git|npm)ignore$/.test(names.at(-1) ?? "");
}

/**
 * One digest for all files of a package, the same for its tarball and for the folder that it was installed into: in-toto's `dirHash`.
 * It is the SHA-256 of a text with one line for each file, in the order of the paths' bytes: the file's SHA-256, two spaces, its path.
 * By hand: `find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum`.
 */
export function dirHash(files: readonly PackageFile[]): string {
  const lines = files
    .filter(({ path }) => isDigested(path))
    .map(({ path, sha256 }) => ({ path: Buffer.from(path), line: `${sha256}  ${path}\n` }))
    .sort((a, b) => Buffer.compare(a.path, b.path))
    .map(({ line }) => line);
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/** The files of an installed package. Rejects with `INVALID_ARGUMENT` for links and devices: no registry holds any. */
export async function readPackageFiles(folder: string, signal?: AbortSignal): Promise<readonly PackageFile[]> {
  const files: PackageFile[] = [];
  const visit = async (parent: string): Promise<void> => {
    for (const entry of await readdir(join(folder, parent), { withFileTypes: true })) {
      const path = parent === "" ? entry.name : `${parent}/${entry.name}`;
      if (!isDigested(path)) continue;
      signal?.throwIfAborted();
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile() && files.length < maxFiles && !path.includes("\n")) {
        files.push({ path, sha256: await sha256Of(join(folder, path)) });
      } else {
        throw new VdcError("INVALID_ARGUMENT", `'${join(folder, path)}' is not what a published package can hold`, {
          reason: "VDC_CERTIFICATE_DIGEST",
        });
      }
    }
  };
  await visit("");
  return files;
}

/** The SHA-256 of a file's content, in hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
