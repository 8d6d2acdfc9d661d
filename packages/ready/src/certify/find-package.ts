import { mkdir, mkdtemp, readFile, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import { dirHash, readPackageFiles } from "@vdc-os/core/certificate";
import { z } from "zod";
import { readTarball, unpackTarball } from "./read-tarball.ts";

/** What a package says of itself, as far as certification reads it. */
export interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly main?: string | undefined;
  readonly exports?: unknown;
  /** Where the plugin is (`plugin`), and, by the name of a suite, the module that makes what it certifies. */
  readonly vdcReady?: Readonly<Record<string, string>> | undefined;
}

/** A package that is to be certified. */
export interface FoundPackage extends AsyncDisposable {
  /** `folder`: as it is being developed. `tarball`: as it is published. `installed`: as it came from a registry. */
  readonly kind: "folder" | "tarball" | "installed";
  /** Where its files are. */
  readonly folder: string;
  readonly manifest: PackageManifest;
  /** The digest of the tarball. */
  readonly sha256: string | undefined;
  /** The digest of the files. A folder has none: what would be published of it is not known. */
  readonly dirHash: string | undefined;
}

const manifestSchema = z.object({
  name: z.string().min(1),
  version: z.string().min(1),
  main: z.string().optional(),
  exports: z.unknown().optional(),
  vdcReady: z.record(z.string(), z.string()).optional(),
});

/** Options of {@link findPackage}. */
export interface FindPackageOptions {
  /** Where paths and names are looked for. */
  readonly cwd: string;
  /** In whose `node_modules` a tarball finds its dependencies. Defaults to `cwd`. */
  readonly modules?: string | undefined;
}

/**
 * Finds a package: a folder, a tarball, or the name of one that is installed where `cwd` is.
 *
 * A tarball is unpacked into `node_modules` of `modules`, so that it finds its dependencies where the author has them, and is tested as it would
 * run at a user's. What was unpacked goes when the result is disposed of. Rejects with `NOT_FOUND` or `INVALID_ARGUMENT`.
 */
export async function findPackage(what: string, { cwd, modules = cwd }: FindPackageOptions): Promise<FoundPackage> {
  const path = resolve(cwd, what);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return findTarball(path, modules);
  if (found?.isDirectory()) {
    const manifest = await readManifest(path);
    return { kind: "folder", folder: path, manifest, sha256: undefined, dirHash: undefined, ...nothingToDo };
  }
  if (/^(@[\w.-]+\/)?[\w-][\w.-]*$/.test(what)) {
    const folder = await findInstalled(what, cwd);
    if (folder !== undefined) {
      const hash = dirHash(await readPackageFiles(folder));
      const manifest = await readManifest(folder);
      return { kind: "installed", folder, manifest, sha256: undefined, dirHash: hash, ...nothingToDo };
    }
  }
  throw new VdcError("NOT_FOUND", `'${what}' is no folder, no tarball, and no package that is installed here`);
}

const nothingToDo: AsyncDisposable = { [Symbol.asyncDispose]: async () => undefined };

async function findTarball(path: string, cwd: string): Promise<FoundPackage> {
  const tarball = await readTarball(path);
  const modules = await findModulesFolder(cwd);
  const place = await mkdtemp(modules === undefined ? join(tmpdir(), "vdc-ready-") : join(modules, ".vdc-ready-"));
  const remove = (): Promise<void> => rm(place, { recursive: true, force: true });
  try {
    const folder = join(place, "package");
    await mkdir(folder);
    await unpackTarball(tarball, folder);
    const manifest = await readManifest(folder);
    const { sha256, files } = tarball;
    return { kind: "tarball", folder, manifest, sha256, dirHash: dirHash(files), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function readManifest(folder: string): Promise<PackageManifest> {
  const path = join(folder, "package.json");
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${path}' can't be read: ${(cause as Error).message}`, { cause });
  }
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new VdcError("INVALID_ARGUMENT", `'${path}' is wrong:\n${z.prettifyError(parsed.error)}`);
}

/** The next `node_modules` above. */
async function findModulesFolder(cwd: string): Promise<string | undefined> {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const modules = join(folder, "node_modules");
    if ((await stat(modules).catch(() => undefined))?.isDirectory()) return modules;
    if (folder === dirname(folder)) return undefined;
  }
}

async function findInstalled(name: string, cwd: string): Promise<string | undefined> {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const found = await realpath(join(folder, "node_modules", name)).catch(() => undefined);
    if (found !== undefined) return found;
    if (folder === dirname(folder)) return undefined;
  }
}
