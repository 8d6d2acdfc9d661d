import { VdcError } from "../error/vdc-error.ts";
import { definePlugin, type Plugin, type PluginOptions } from "../plugin/define-plugin.ts";
import type { Requirements } from "../plugin/manifest.ts";
import type { ChildOptions } from "./child-plugin.ts";
import { isolated } from "./isolated.ts";

/** Options of {@link external}: what the manifest of any plugin says, and how its program is run. */
export interface ExternalOptions<Config>
  extends Omit<PluginOptions<Config, Requirements, Requirements>, "setup" | "module">,
    Omit<ChildOptions, "command" | "execArgv"> {
  /** The program and its arguments. No shell comes between. It speaks the wire protocol on its standard input and output. */
  readonly command: readonly [program: string, ...args: string[]];
}

/**
 * A plugin whose code is a program in any language, which speaks the wire protocol (`docs/wire-protocol.md`).
 *
 * The kernel plans with the manifest that is given here, and the program is run as that of an {@link isolated} plugin: what it writes to standard
 * error is logged; when it ends or hangs it is started again with back-off, and calls answer `UNAVAILABLE` until then; when the plugin
 * stops it is asked to, then gets SIGTERM, then SIGKILL; when this process dies its standard input ends. The config crosses as JSON, after it was
 * checked here. Throws `INVALID_ARGUMENT` for an empty command.
 *
 * @example
 * ```ts
 * export default external({
 *   name: "@acme/vdc-storage",
 *   version: "1.0.0",
 *   core: "0.1",
 *   summary: "Volumes on Acme arrays.",
 *   provides: [provides(storageProvider, { name: fromConfig("name") })],
 *   config: z.object({ name: z.string(), address: z.string() }),
 *   command: ["python3", join(import.meta.dirname, "storage.py")],
 * });
 * ```
 */
export function external<Config = undefined>(options: ExternalOptions<Config>): Plugin {
  const { command, cwd, env, restart, heartbeatMs, hangTimeoutMs, maxResidentBytes, startTimeoutMs, stopTimeoutMs } =
    options;
  const [program, ...args] = command as readonly string[];
  if (program === undefined || program === "") {
    throw new VdcError("INVALID_ARGUMENT", `the command of plugin '${options.name}' names no program`);
  }
  const plugin = definePlugin<Config, Requirements, Requirements>({ ...options, setup() {} });
  return isolated(plugin, {
    command: { command: program, args, channel: "stdio" },
    cwd,
    env,
    restart,
    heartbeatMs,
    hangTimeoutMs,
    maxResidentBytes,
    startTimeoutMs,
    stopTimeoutMs,
  });
}
