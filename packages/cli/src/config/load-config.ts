import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isVdcError, VdcError } from "@vdc-os/core";
import type { ConfigPlace, DatacenterOptions } from "./datacenter-config.ts";

/** The names of config modules, the first one first. */
export const configNames: readonly string[] = ["vdc.config.ts", "vdc.config.mts", "vdc.config.js", "vdc.config.mjs"];

/** A config module, read. */
export interface LoadedConfig {
  readonly path: string;
  /** Its `directory` is absolute. */
  readonly options: DatacenterOptions;
}

/** The config module in a folder or the nearest one above. Fails with `VDC_NO_CONFIG`. */
export function findConfig(folder: string): string {
  for (let at = resolve(folder); ; ) {
    const found = configNames.map((name) => join(at, name)).find((path) => existsSync(path));
    if (found !== undefined) return found;
    const above = dirname(at);
    if (above === at) break;
    at = above;
  }
  throw new VdcError("NOT_FOUND", `there is no ${configNames[0]} (or .mts, .js, .mjs) in '${folder}' or above`, {
    reason: "VDC_NO_CONFIG",
  });
}

/** Loads the config module that is named, or the one that is found from a folder. */
export async function loadConfig(options: {
  readonly path?: string | undefined;
  readonly cwd: string;
  readonly env: ConfigPlace["env"];
}): Promise<LoadedConfig> {
  const { cwd, env } = options;
  const path = options.path === undefined ? findConfig(cwd) : resolve(cwd, options.path);
  if (!existsSync(path)) throw new VdcError("NOT_FOUND", `there is no '${path}'`, { reason: "VDC_NO_CONFIG" });
  const folder = dirname(path);
  try {
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
    const exported = module.default;
    const given = typeof exported === "function" ? await exported({ folder, env }) : exported;
    if (typeof given !== "object" || given === null) throw invalid(path, "its default export is no config");
    const found = given as DatacenterOptions & { readonly mode?: unknown };
    if (typeof found.directory !== "string") throw invalid(path, "it has no 'directory'");
    if (found.plugins === undefined) throw invalid(path, "it has no 'plugins'");
    if (found.mode !== undefined && found.mode !== "durable") {
      throw invalid(path, "a datacenter between commands is durable: leave 'mode' out");
    }
    return { path, options: { ...found, directory: resolve(folder, found.directory) } };
  } catch (error) {
    if (isVdcError(error)) throw error;
    const { message } = error instanceof Error ? error : new Error(String(error));
    throw invalid(path, message, error);
  }
}

function invalid(path: string, why: string, cause?: unknown): VdcError {
  const missing = /Cannot find package '([^']+)'/.exec(why)?.[1];
  const what = missing === undefined ? why : `it needs '${missing}': install it with 'npm install ${missing}'`;
  return new VdcError("FAILED_PRECONDITION", `'${path}' can't be used: ${what}`, {
    reason: "VDC_CONFIG_INVALID",
    cause,
  });
}
