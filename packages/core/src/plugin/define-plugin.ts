import type { z } from "zod";
import type { PluginManifest, Provision, Requirements } from "./manifest.ts";
import type { PluginContext } from "./plugin-context.ts";
import type { Required, Used } from "./requirement.ts";

const brand = Symbol.for("vdc-os.plugin");

/** The version of a plugin's own shape, so that two copies of core can tell each other apart. */
export const pluginFormat = 1;

/** A plugin: its manifest, and the code that sets it up. */
export interface Plugin {
  readonly manifest: PluginManifest;
  /** The module that holds its code, when that runs in another process: see `isolated`. A command has none, and is `""`. */
  readonly module?: string | undefined;
  /** Brings the plugin up. Whatever it acquires through the context is released when the plugin stops, also when `setup` fails half-way. */
  setup(context: PluginContext, config: unknown): void | Promise<void>;
}

/** Options of {@link definePlugin}. */
export interface PluginOptions<Config, R extends Requirements, U extends Requirements> {
  readonly name: string;
  readonly version: string;
  /** See {@link PluginManifest.core}. */
  readonly core: string;
  readonly summary: string;
  /** Defaults to none. */
  readonly provides?: readonly Provision[];
  /** Defaults to none. */
  readonly requires?: R;
  /** Defaults to none. */
  readonly uses?: U;
  /** Defaults to none. */
  readonly before?: readonly string[];
  /** Defaults to none. */
  readonly after?: readonly string[];
  /** Schema of the config. Defaults to no config. */
  readonly config?: z.ZodType<Config>;
  /** See {@link Plugin.module}. Defaults to none: it runs where it is defined. */
  readonly module?: string | undefined;
  setup(context: PluginContext<Required<R>, Used<U>>, config: Config): void | Promise<void>;
}

/**
 * Defines a plugin.
 *
 * @example
 * ```ts
 * export default definePlugin({
 *   name: "@acme/vdc-storage",
 *   version: "1.0.0",
 *   core: "0.1",
 *   summary: "Volumes on Acme arrays.",
 *   provides: [provides(storageProvider, { name: fromConfig("name") })],
 *   config: z.object({ name: z.string(), address: z.string() }),
 *   async setup(context, config) {
 *     const array = await context.acquire("array session", () => connect(config.address), (session) => session.close());
 *     context.provide(storageProvider, new AcmeStorage(array), { name: config.name });
 *   },
 * });
 * ```
 */
export function definePlugin<
  Config = undefined,
  const R extends Requirements = Record<never, never>,
  const U extends Requirements = Record<never, never>,
>(options: PluginOptions<Config, R, U>): Plugin {
  const { setup } = options;
  const plugin: Plugin = {
    manifest: Object.freeze({
      name: options.name,
      version: options.version,
      core: options.core,
      summary: options.summary,
      provides: options.provides ?? [],
      requires: options.requires ?? {},
      uses: options.uses ?? {},
      before: options.before ?? [],
      after: options.after ?? [],
      config: options.config,
    }),
    module: options.module,
    setup: (context, config) => setup(context as PluginContext<Required<R>, Used<U>>, config as Config),
  };
  Object.defineProperty(plugin, brand, { value: pluginFormat });
  return Object.freeze(plugin);
}

/** The format version of a value that looks like a plugin, of this copy of core or another; `undefined` for anything else. */
export function pluginFormatOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !(brand in value)) return undefined;
  return value[brand] as number;
}
