import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isVdcError, VdcError } from "@vdc-os/core";
import { writeFileAtomic } from "@vdc-os/core/local";
import { connectHostRuntime, type HostRuntimeConnection } from "./connect-host-runtime.ts";
import { HostDirectory } from "./host-directory.ts";
import { hostDirectoryVariable } from "./process-table.ts";
import { readTail } from "./read-log.ts";
import { type HostPluginModule, lockedExitCode, type RuntimeOptions } from "./runtime-options.ts";
import type { HostIdentity } from "./start-host-runtime.ts";

/** Options of {@link spawnHostRuntime}. */
export interface SpawnHostRuntimeOptions extends HostIdentity {
  /** The host's own folder. Made when it is not there. Its path must be short: sockets lie in it. */
  readonly directory: string;
  /** Defaults to none. */
  readonly plugins?: readonly HostPluginModule[];
  /** From where specifiers of plugins and data-plane modules are resolved: a file's path or URL. Defaults to this package. */
  readonly resolveFrom?: string;
  /** The pause before a process that ended is started again, in milliseconds; it doubles with each failure. Defaults to 200. */
  readonly firstBackOffMs?: number;
  /** Defaults to 10_000. */
  readonly maxBackOffMs?: number;
  /**
   * Whether the host ends with its manager: once no manager has been connected for `graceMs`, the runtime removes all that it
   * supervises and exits. Defaults to false: the host outlives its managers.
   */
  readonly ephemeral?: boolean;
  /** Defaults to 3000 milliseconds. */
  readonly graceMs?: number;
  /** How long the start may take, in milliseconds. Defaults to 20_000. */
  readonly startTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Connects to the runtime of a host's folder, and starts it first when there is none: a detached process that outlives this one. A runtime
 * that runs already is adopted as it is.
 */
export async function spawnHostRuntime(options: SpawnHostRuntimeOptions): Promise<HostRuntimeConnection> {
  const directory = HostDirectory.open(options.directory);
  const running = await tryConnect(directory, options.signal);
  if (running !== undefined) return running;
  const { hostId, address, failureDomain, plugins = [], resolveFrom, firstBackOffMs, maxBackOffMs } = options;
  const runtimeOptions: RuntimeOptions = {
    hostId,
    address,
    failureDomain,
    plugins,
    resolveFrom,
    firstBackOffMs,
    maxBackOffMs,
    ephemeral: options.ephemeral ?? false,
    graceMs: options.graceMs ?? 3000,
  };
  await writeFileAtomic(directory.runtimeOptions, JSON.stringify(runtimeOptions));
  const deadline = performance.now() + (options.startTimeoutMs ?? 20_000);
  let attempt = startProcess(directory);
  for (;;) {
    const { ended } = attempt;
    const connection = await tryConnect(directory, options.signal);
    if (connection !== undefined) return connection;
    const timedOut = performance.now() > deadline;
    if (ended?.locked && !timedOut) {
      // Another one is starting or ending just now: it answers soon, or makes room.
      await new Promise((resolve) => setTimeout(resolve, 100));
      const answered = await tryConnect(directory, options.signal);
      if (answered !== undefined) return answered;
      attempt = startProcess(directory);
    } else if (ended !== undefined || timedOut) {
      attempt.child.kill("SIGKILL");
      const tail = await readTail(directory.runtimeLog, 2000);
      throw new VdcError(
        "UNAVAILABLE",
        `the runtime of host '${directory.root}' did not start (${ended?.text ?? "it did not answer in time"}): ${tail}`,
        { reason: "VDC_HOST_NOT_STARTED" },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Attempt {
  readonly child: ChildProcess;
  /** How the process ended; `undefined` while it runs. `locked` when another one holds the folder. */
  ended: { readonly text: string; readonly locked: boolean } | undefined;
}

function startProcess(directory: HostDirectory): Attempt {
  const log = openSync(directory.runtimeLog, "a", 0o600);
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("VDC_"));
  const entry = fileURLToPath(import.meta.resolve("@vdc-os/host/runtime"));
  const child = spawn(process.execPath, [entry, directory.root], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: directory.root,
    env: { ...Object.fromEntries(inherited), [hostDirectoryVariable]: directory.root },
  });
  closeSync(log);
  child.unref();
  const attempt: Attempt = { child, ended: undefined };
  child.once("error", (error) => {
    attempt.ended = { text: error.message, locked: false };
  });
  child.once("exit", (code, signal) => {
    const text = signal === null ? `exit code ${code}` : `signal ${signal}`;
    attempt.ended = { text, locked: code === lockedExitCode };
  });
  return attempt;
}

async function tryConnect(
  directory: HostDirectory,
  signal: AbortSignal | undefined,
): Promise<HostRuntimeConnection | undefined> {
  signal?.throwIfAborted();
  try {
    return await connectHostRuntime(directory.root, signal === undefined ? {} : { signal });
  } catch (error) {
    if (isVdcError(error, "UNAVAILABLE")) return undefined;
    throw error;
  }
}
