import { execFile } from "node:child_process";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { VdcError } from "@vdc-os/core";

/** Options of {@link packFolder}. */
export interface PackFolderOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Packs a package's folder with npm, as `npm publish` would. Returns the path of the tarball, which stays in the folder: it is what is to be
 * published. Rejects with `FAILED_PRECONDITION` and what npm wrote.
 */
export async function packFolder(folder: string, { signal }: PackFolderOptions = {}): Promise<string> {
  // What npm prints is mixed with what the package's own scripts print: the one file in a folder of its own is certain.
  const place = await mkdtemp(join(folder, ".vdc-ready-pack-"));
  try {
    await run(["pack", "--loglevel=error", `--pack-destination=${relative(folder, place)}`], folder, signal);
    const [file] = (await readdir(place)).filter((name) => name.endsWith(".tgz"));
    if (file === undefined) throw new VdcError("FAILED_PRECONDITION", "'npm pack' has packed nothing");
    const tarball = join(folder, file);
    await rename(join(place, file), tarball);
    return tarball;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

function run(args: readonly string[], cwd: string, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // On Windows npm is a script, which a shell alone starts.
  const shell = process.platform === "win32";
  execFile(
    "npm",
    args,
    { cwd, shell, maxBuffer: 2 ** 24, ...(signal === undefined ? {} : { signal }) },
    (error, out, err) => {
      if (error === null) resolve();
      else
        reject(
          new VdcError("FAILED_PRECONDITION", `'npm pack' failed: ${error.message}\n${out}${err}`, { cause: error }),
        );
    },
  );
  return promise;
}
