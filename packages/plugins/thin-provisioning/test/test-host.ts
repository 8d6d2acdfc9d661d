import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Handle, type Json, type Providers, VdcError } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import { connectDataPlane } from "@vdc-os/core/remote";
import { storageMethods } from "../src/server/methods.ts";
import { StorageServer, type StorageServerConfig } from "../src/server/storage-server.ts";

/** What a test needs of a host: the parts of its runtime that the pool uses. */
export interface TestHost {
  readonly name: string;
  readonly runtime: Handle<HostRuntime>;
  /** While true, the host answers nothing. */
  unreachable: boolean;
  /** Ends the storage process as `kill -9` does, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts the storage process again, as the supervisor would. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

interface Process {
  request(method: string, params: Json, signal: AbortSignal | undefined): Promise<Json>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Where a host's storage process runs: in a real process, in one whose files may have no more than 4 MiB (as on a full file system), or in
 * the test's own.
 */
export type HostKind = "process" | "full" | "here";

/** A host for tests. */
export function createTestHost(name: string, directory: string, kind: HostKind): TestHost {
  mkdirSync(join(directory, "run"), { recursive: true });
  let spec: EnsureProcess | undefined;
  let running: Process | undefined;
  const start = async (): Promise<void> => {
    if (spec === undefined || running !== undefined) return;
    running = kind === "here" ? await serveHere(spec) : await spawnProcess(spec, directory, kind === "full");
  };
  const reach = (): void => {
    if (host.unreachable) throw new VdcError("UNAVAILABLE", `host '${name}' does not answer`);
  };
  const status = (): ProcessStatus => ({
    processId: (spec as EnsureProcess).processId,
    owner: (spec as EnsureProcess).owner,
    state: running === undefined ? "backingOff" : "running",
    restarts: 0,
  });
  const runtime: Partial<Handle<HostRuntime>> = {
    inventory: async () => {
      reach();
      return {
        hostId: name,
        bootId: "1",
        address: "127.0.0.1",
        failureDomain: "a",
        cpus: 1,
        memoryBytes: 1,
        directory,
      };
    },
    ensureProcess: async (input) => {
      reach();
      spec = input;
      await start();
      return status();
    },
    listProcesses: async () => {
      reach();
      return spec === undefined ? [] : [status()];
    },
    request: async ({ method, params }, options) => {
      reach();
      if (running === undefined) throw new VdcError("UNAVAILABLE", "the storage process does not run");
      return running.request(method, params, options?.signal);
    },
  };
  const host: TestHost = {
    name,
    runtime: runtime as Handle<HostRuntime>,
    unreachable: false,
    async kill() {
      const killed = running;
      running = undefined;
      await killed?.kill();
    },
    restart: start,
    async stop() {
      const stopped = running;
      running = undefined;
      await stopped?.stop();
    },
  };
  return host;
}

/** The directory of test hosts. */
export function hostsOf(hosts: readonly TestHost[]): Providers<HostRuntime> {
  const names = hosts.map(({ name }) => name);
  return {
    names: () => names,
    has: (name) => names.includes(name),
    get: (name) => {
      const host = hosts.find((candidate) => candidate.name === name);
      if (host === undefined) throw new VdcError("NOT_FOUND", `there is no host '${name}'`);
      return host.runtime;
    },
  };
}

async function serveHere(spec: EnsureProcess): Promise<Process> {
  if (spec.program.kind !== "module") throw new TypeError("a module was expected");
  const server = await StorageServer.open(spec.program.config as unknown as StorageServerConfig);
  const methods = storageMethods(server);
  const close = async (): Promise<void> => server.close();
  return {
    request: async (method, params, signal) => {
      const run = methods[method];
      if (run === undefined) throw new VdcError("UNIMPLEMENTED", method);
      return (await run(params, { signal: signal ?? new AbortController().signal })) ?? null;
    },
    kill: close,
    stop: close,
  };
}

async function spawnProcess(spec: EnsureProcess, directory: string, full: boolean): Promise<Process> {
  if (spec.program.kind !== "module") throw new TypeError("a module was expected");
  const controlSocket = join(directory, "run", `${spec.processId}.ctl`);
  const configFile = join(directory, `${spec.processId}.config`);
  writeFileSync(configFile, JSON.stringify(spec.program.config));
  const command = [process.execPath, fileURLToPath(spec.program.module)];
  // The limit counts in blocks of 512 bytes (POSIX sh).
  if (full) command.unshift("/bin/sh", "-c", 'ulimit -f 8192 && exec "$0" "$@"');
  const [executable = "", ...args] = command;
  const child = spawn(executable, args, {
    env: {
      ...process.env,
      VDC_OWNER: "test",
      VDC_PROCESS_ID: spec.processId,
      VDC_CONTROL_SOCKET: controlSocket,
      VDC_CONFIG_FILE: configFile,
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const connection = await connectWhenReady(controlSocket, child).catch(async (error: unknown) => {
    child.kill("SIGKILL");
    await exited;
    throw error;
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
    await connection.close();
  };
  return {
    request: (method, params, signal) => connection.request(method, params, { signal }),
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

async function connectWhenReady(
  controlSocket: string,
  child: ChildProcess,
): Promise<Awaited<ReturnType<typeof connectDataPlane>>> {
  // It takes as long as the machine takes to start a process; a test has a limit of its own.
  const giveUp = performance.now() + 50_000;
  for (;;) {
    try {
      return await connectDataPlane(controlSocket);
    } catch (error) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null;
      if (hasEnded || performance.now() > giveUp) throw error;
      // The supervisor polls as well: a process says that it is ready by answering.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
