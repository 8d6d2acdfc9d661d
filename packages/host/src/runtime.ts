// The host runtime as a process of its own: `node runtime.js <host directory>`. Started by `spawnHostRuntime`.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { isVdcError, type Plugin, pluginFormatOf, VdcError } from "@vdc-os/core";
import { pinoLogger } from "@vdc-os/core/pino";
import { listenUnix, serveProviders } from "@vdc-os/core/remote";
import { HostDirectory } from "./host-directory.ts";
import { type HostPluginModule, lockedExitCode, readRuntimeOptions } from "./runtime-options.ts";
import { startHostRuntime } from "./start-host-runtime.ts";

/** How long the first manager may take to come, who waits for this process to start: on a busy machine longer than any may be away later. */
const firstManagerMs = 20_000;

async function main(path: string): Promise<void> {
  const directory = HostDirectory.open(path);
  const options = await readRuntimeOptions(directory);
  const logger = pinoLogger();
  const plugins = await Promise.all(options.plugins.map((entry) => loadPlugin(entry, options.resolveFrom)));
  const { hostId, address, failureDomain, resolveFrom, firstBackOffMs, maxBackOffMs } = options;
  const host = await startHostRuntime({
    directory: directory.root,
    hostId,
    address,
    failureDomain,
    logger,
    plugins,
    ...(resolveFrom === undefined ? {} : { resolveFrom }),
    ...(firstBackOffMs === undefined ? {} : { firstBackOffMs }),
    ...(maxBackOffMs === undefined ? {} : { maxBackOffMs }),
  });

  let ending: Promise<void> | undefined;
  const end = (removeProcesses: boolean): Promise<void> => {
    ending ??= (async () => {
      clearTimeout(lonely);
      await host.close({ removeProcesses });
      await server.close();
    })();
    return ending;
  };
  const exit = (removeProcesses: boolean): void => {
    end(removeProcesses).then(
      () => process.exit(0),
      (error) => {
        logger.error("the runtime did not stop in order", { error: String(error) });
        process.exit(1);
      },
    );
  };

  let managers = 0;
  let lonely: NodeJS.Timeout | undefined;
  const watchManagers = (graceMs: number): void => {
    clearTimeout(lonely);
    if (options.ephemeral && managers === 0) lonely = setTimeout(() => exit(true), graceMs);
  };
  const server = await listenUnix(directory.socket, (socket) => {
    const connection = serveProviders(socket, host.providers, { logger });
    connection.link.handle("host.hello", () => ({ hostId: host.hostId, pid: process.pid }));
    connection.link.handle("host.stop", ([request]) => {
      const { removeProcesses } = (request ?? {}) as { readonly removeProcesses?: boolean };
      setImmediate(() => exit(removeProcesses === true));
      return null;
    });
    // A connection counts from its hello on: whoever only looks whether somebody answers is no manager.
    let counted = false;
    connection.greeted().then(
      () => {
        counted = true;
        managers++;
        watchManagers(options.graceMs);
      },
      () => {},
    );
    void connection.closed.then(() => {
      if (!counted) return;
      managers--;
      watchManagers(options.graceMs);
    });
  });
  watchManagers(Math.max(options.graceMs, firstManagerMs));
  process.on("SIGTERM", () => exit(options.ephemeral));
  process.on("SIGINT", () => exit(options.ephemeral));
}

async function loadPlugin(
  entry: HostPluginModule,
  resolveFrom: string | undefined,
): Promise<{ readonly plugin: Plugin; readonly id?: string | undefined; readonly config?: unknown }> {
  const { module, id, config } = entry;
  const url =
    /^(file|node|data):/.test(module) || resolveFrom === undefined
      ? module
      : pathToFileURL(createRequire(resolveFrom).resolve(module)).href;
  const exports = (await import(url)) as { readonly default?: unknown };
  if (pluginFormatOf(exports.default) === undefined) {
    throw new VdcError("INVALID_ARGUMENT", `the default export of '${module}' is not a plugin`);
  }
  return { plugin: exports.default as Plugin, id, config };
}

main(process.argv[2] as string).catch((error) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  // What was opened before the failure must not keep a runtime alive that serves nothing.
  process.exit(isVdcError(error, "ALREADY_EXISTS") ? lockedExitCode : 1);
});
