import { stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { isVdcError, type Plugin, pluginFormatOf, VdcError } from "@vdc-os/core";
import type { FoundPackage, PackageManifest } from "./find-package.ts";

/** A plugin, and the module that exports it. */
export interface LoadedPlugin {
  readonly plugin: Plugin;
  /** A file URL. */
  readonly module: string;
}

/** Options of {@link loadPlugin}. */
export interface LoadPluginOptions {
  /** The path of the module that exports the plugin. Defaults to what the package says: `vdcReady.plugin`, else its main entry. */
  readonly module?: string | undefined;
  /** How long the import may take, in milliseconds. Defaults to `30_000`. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Imports a package's plugin: what its module exports by default, or else the only plugin that it exports. Rejects with
 * `INVALID_ARGUMENT` when there is none, and `FAILED_PRECONDITION` when it can't be imported.
 */
export async function loadPlugin(
  { folder, manifest }: FoundPackage,
  { module, timeoutMs }: LoadPluginOptions = {},
): Promise<LoadedPlugin> {
  const path = module ?? inPackage(folder, manifest.vdcReady?.plugin ?? entryOf(manifest), "its plugin's module");
  const exported = await importModule(path, { timeoutMs });
  const plugins = [...new Set(Object.values(exported).filter((value) => pluginFormatOf(value) !== undefined))];
  const main = plugins.includes(exported.default) ? exported.default : plugins.length === 1 ? plugins[0] : undefined;
  if (main !== undefined) return { plugin: main as Plugin, module: pathToFileURL(path).href };
  const count = plugins.length === 0 ? "no plugin" : `${plugins.length} plugins, and none by default`;
  throw new VdcError(
    "INVALID_ARGUMENT",
    `'${path}' exports ${count}: export one that definePlugin made by default, or name its module in package.json as "vdcReady": { "plugin": "./..." }`,
  );
}

/** Imports a module by its path. Rejects with `FAILED_PRECONDITION` that says what to do. */
export async function importModule(
  path: string,
  { timeoutMs = 30_000 }: { readonly timeoutMs?: number | undefined } = {},
): Promise<Readonly<Record<string, unknown>>> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) {
    throw new VdcError("NOT_FOUND", `there is no module '${path}': was the package built?`);
  }
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => {
    late.resolve(`it is not there after ${timeoutMs} ms: what waits for something belongs in 'setup'`);
  }, timeoutMs);
  try {
    const imported = (await Promise.race([import(pathToFileURL(path).href), late.promise])) as object | string;
    if (typeof imported === "object") return imported as Readonly<Record<string, unknown>>;
    throw new VdcError("FAILED_PRECONDITION", `'${path}' can't be imported: ${imported}`);
  } catch (cause) {
    if (isVdcError(cause)) throw cause;
    throw new VdcError("FAILED_PRECONDITION", `'${path}' can't be imported: ${whyNotImported(cause, path)}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** What an import failed of, where, and what to do. Anything may have been thrown. */
function whyNotImported(cause: unknown, path: string): string {
  if (!(cause instanceof Error)) return `it throws ${String(cause)}`;
  const { message, stack = "" } = cause;
  const { code } = cause as { readonly code?: string };
  if (code === "ERR_MODULE_NOT_FOUND")
    return `${message}; run this in the folder in which the plugin's dependencies are installed`;
  if (code === "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING")
    return `${message}; a package must be published as JavaScript`;
  const [place] = /file:\/\/[^\s)]+:\d+/.exec(stack) ?? [];
  // Node.js keeps the place of a syntax error to itself until nobody catches it.
  if (cause instanceof SyntaxError && place === undefined) return `${message}; 'node ${path}' shows where`;
  return place === undefined ? message : `${message} (${place})`;
}

/** A path of a package's manifest as a path of the machine. It must stay in the package. */
export function inPackage(folder: string, path: string, what: string): string {
  const full = join(folder, path);
  if (relative(folder, full).split(sep)[0] !== "..") return full;
  throw new VdcError("INVALID_ARGUMENT", `package.json names '${path}' as ${what}, which is outside of the package`);
}

/** A package's main entry, as Node.js finds it for an import. */
function entryOf({ exports, main }: PackageManifest): string {
  const root = isRecord(exports) && Object.keys(exports).some((key) => key.startsWith(".")) ? exports["."] : exports;
  return targetOf(root) ?? main ?? "index.js";
}

const conditions: ReadonlySet<string> = new Set(["node", "import", "module-sync", "default"]);

function targetOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(targetOf).find((target) => target !== undefined);
  if (!isRecord(value)) return undefined;
  for (const [condition, target] of Object.entries(value)) {
    const found = conditions.has(condition) ? targetOf(target) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
