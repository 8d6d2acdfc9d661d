import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ExpandOptions, expand, isElf } from "./expand.ts";
import { GuestImageError } from "./guest-image-error.ts";

/** A kernel module, ready to be inserted. */
export interface KernelModule {
  readonly name: string;
  readonly content: Buffer;
}

export interface ReadKernelModulesOptions {
  /** The folder of one kernel: `lib/modules/<version>`. */
  readonly directory: string;
  /** Modules that must be there, in the kernel or as a file. */
  readonly required: readonly string[];
  /** Modules that are taken where they exist. */
  readonly optional?: readonly string[];
  readonly expandXz: ExpandOptions["expandXz"];
}

/**
 * Reads modules with all that they depend on, in an order in which they can be inserted one after the other.
 *
 * A module that is built into the kernel is left out. The dependencies are those that the modules state themselves,
 * since a packaged kernel has no `modules.dep` before it is installed.
 */
export async function readKernelModules(options: ReadKernelModulesOptions): Promise<readonly KernelModule[]> {
  const files = await findModules(join(options.directory, "kernel"));
  const builtIn = new Set(
    (await readFile(join(options.directory, "modules.builtin"), "utf8")).split("\n").map((path) => moduleName(path)),
  );
  const ordered = new Map<string, KernelModule>();
  const visit = async (name: string, required: boolean): Promise<void> => {
    if (ordered.has(name) || builtIn.has(name)) return;
    const path = files.get(name);
    if (path === undefined) {
      if (!required) return;
      throw new GuestImageError("BAD_PACKAGE", `The kernel package has no module '${name}'.`);
    }
    const content = await expand(await readFile(path), { what: `The module '${name}'`, expandXz: options.expandXz });
    if (!isElf(content)) throw new GuestImageError("BAD_ARCHIVE", `The module '${name}' is not an ELF file.`);
    for (const dependency of statedDependencies(content)) await visit(dependency, true);
    ordered.set(name, { name, content });
  };
  for (const name of options.required) await visit(name, true);
  for (const name of options.optional ?? []) await visit(name, false);
  return [...ordered.values()];
}

async function findModules(root: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && /\.ko(\.xz|\.zst|\.gz)?$/.test(entry.name)) {
      files.set(moduleName(entry.name), join(entry.parentPath, entry.name));
    }
  }
  return files;
}

/** `kernel/drivers/char/hw_random/virtio-rng.ko.xz` is the module `virtio_rng`. */
function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return file.replace(/\.ko(\.\w+)?$/, "").replaceAll("-", "_");
}

/** The section `.modinfo` is a row of `key=value` texts, each ended by a zero byte. */
function statedDependencies(module: Buffer): readonly string[] {
  const key = Buffer.from("\0depends=");
  const at = module.indexOf(key);
  if (at === -1) return [];
  const start = at + key.length;
  const text = module.toString("latin1", start, module.indexOf(0, start));
  return text === "" ? [] : text.split(",").map((name) => name.replaceAll("-", "_"));
}
