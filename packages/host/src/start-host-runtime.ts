import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Logger, type Plugin, silentLogger, VdcError } from "@vdc-os/core";
import { type HostRuntime, hostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { KernelProviders, type ProviderSource, type ProcessLock, takeProcessLock } from "@vdc-os/core/remote";
import { writeFileAtomic } from "@vdc-os/core/local";
import { HostDirectory } from "./host-directory.ts";
import { HostRuntimeService } from "./host-runtime-service.ts";
import { killPluginProcesses } from "./sweep-host-directory.ts";
import { Supervisor } from "./supervisor.ts";

/** A plugin that a host runtime runs. */
export interface HostPlugin {
  readonly plugin: Plugin;
  /** Defaults to the package's name. */
  readonly id?: string | undefined;
  readonly config?: unknown;
}

/** What makes up a host. */
export interface HostIdentity {
  /** Stable across restarts. Defaults to the one that the folder has, and in a new folder to a new one. Another one than the folder's is refused. */
  readonly hostId?: string | undefined;
  /** Where other hosts reach its data planes. Defaults to `127.0.0.1`. */
  readonly address?: string | undefined;
  /** What fails together. Defaults to the host's id. */
  readonly failureDomain?: string | undefined;
}

/** Options of {@link startHostRuntime}. */
export interface StartHostRuntimeOptions extends HostIdentity {
  /** The host's own folder. Made when it is not there. Its path must be short: sockets lie in it. */
  readonly directory: string;
  /** What it runs beside the `vdc.host` provider. A plugin may require `hostRuntime`. Defaults to none. */
  readonly plugins?: readonly HostPlugin[];
  readonly logger?: Logger;
  /** From where specifiers of data-plane modules are resolved: a file's path or URL. Defaults to this package. */
  readonly resolveFrom?: string;
  /** The pause before a process that ended is started again, in milliseconds; it doubles with each failure. Defaults to 200. */
  readonly firstBackOffMs?: number;
  /** Defaults to 10_000. */
  readonly maxBackOffMs?: number;
}

/** A host runtime in this process. */
export interface StartedHostRuntime extends AsyncDisposable {
  readonly hostId: string;
  /** The `vdc.host` provider. */
  readonly runtime: HostRuntime;
  /** The kernel that the host's plugins run in. */
  readonly kernel: Kernel;
  /** Everything that it serves: `vdc.host`, and what its plugins provide. */
  readonly providers: ProviderSource;
  /** Stops the plugins and the supervision. The processes go on, unless `removeProcesses`. */
  close(options?: { readonly removeProcesses?: boolean; readonly graceMs?: number }): Promise<void>;
}

/**
 * Starts a host runtime in this process, and brings the host's processes to what was last asked for: see `Supervisor`. At most one runtime
 * runs for a folder; another is refused with `ALREADY_EXISTS`.
 */
export async function startHostRuntime(options: StartHostRuntimeOptions): Promise<StartedHostRuntime> {
  const directory = HostDirectory.open(options.directory);
  const lock = await takeProcessLock(`host ${directory.root}`);
  try {
    return await start(options, directory, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function start(
  options: StartHostRuntimeOptions,
  directory: HostDirectory,
  lock: ProcessLock,
): Promise<StartedHostRuntime> {
  const logger = options.logger ?? silentLogger;
  const hostId = await decideHostId(directory, options.hostId);
  const bootId = await readBootId();
  const supervisor = await Supervisor.open({
    directory,
    hostId,
    bootId,
    logger,
    resolveFrom: options.resolveFrom ?? import.meta.url,
    firstBackOffMs: options.firstBackOffMs,
    maxBackOffMs: options.maxBackOffMs,
  });
  const runtime = new HostRuntimeService(supervisor, directory, {
    hostId,
    bootId,
    address: options.address ?? "127.0.0.1",
    failureDomain: options.failureDomain ?? hostId,
  });
  const plugins = options.plugins ?? [];
  const kernel = new Kernel({
    logger,
    plugins: plugins.map(({ plugin, id, config }) => use(plugin, { ...(id === undefined ? {} : { id }), config })),
  });
  kernel.provide(hostRuntime, hostId, runtime);
  try {
    await kernel.start();
  } catch (error) {
    await supervisor.close({ removeProcesses: false });
    throw error;
  }
  const points = [hostRuntime, ...plugins.flatMap(({ plugin }) => plugin.manifest.provides.map(({ point }) => point))];
  let closing: Promise<void> | undefined;
  const close: StartedHostRuntime["close"] = ({ removeProcesses = false, graceMs } = {}) => {
    closing ??= (async () => {
      await kernel.stop();
      await supervisor.close({ removeProcesses, ...(graceMs === undefined ? {} : { graceMs }) });
      if (removeProcesses) await killPluginProcesses(directory.root);
      await lock.release();
    })();
    return closing;
  };
  const providers = new KernelProviders(kernel, points);
  return { hostId, runtime, kernel, providers, close, [Symbol.asyncDispose]: () => close() };
}

async function decideHostId(directory: HostDirectory, wanted: string | undefined): Promise<string> {
  const text = await readFile(directory.identity, "utf8").catch(() => undefined);
  if (text !== undefined) {
    const { hostId } = JSON.parse(text) as { readonly hostId: string };
    if (wanted !== undefined && wanted !== hostId) {
      throw new VdcError("FAILED_PRECONDITION", `'${directory.root}' belongs to host '${hostId}', not to '${wanted}'`, {
        reason: "VDC_HOST_ID_MISMATCH",
      });
    }
    return hostId;
  }
  const hostId = wanted ?? randomUUID();
  await writeFileAtomic(directory.identity, JSON.stringify({ hostId }));
  return hostId;
}

/** New at every boot: random(4). */
async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
