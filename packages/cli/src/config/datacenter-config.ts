import type { CreateDatacenterOptions } from "@vdc-os/sdk";

/** Where a config module lies. */
export interface ConfigPlace {
  /** The folder of the config module: absolute. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What `vdc` opens. A relative `directory` counts from the config module's folder. */
export type DatacenterOptions = Omit<CreateDatacenterOptions, "mode" | "signal">;

/** The default export of a config module: a datacenter's options, or a function that gives them. */
export type DatacenterConfig =
  | DatacenterOptions
  | ((place: ConfigPlace) => DatacenterOptions | Promise<DatacenterOptions>);

/**
 * Says what datacenter the `vdc` command opens. The default export of `vdc.config.ts`, `.mts`, `.js` or `.mjs`.
 *
 * @example
 * ```ts
 * export default defineDatacenterConfig({ directory: ".vdc/datacenter", plugins: [] });
 * ```
 */
export function defineDatacenterConfig(config: DatacenterConfig): DatacenterConfig {
  return config;
}
