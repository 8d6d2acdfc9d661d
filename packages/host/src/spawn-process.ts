import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, renameSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { VdcError } from "@vdc-os/core";
import type { EnsureProcess } from "@vdc-os/core/host/v1";
import { writeFileAtomic } from "@vdc-os/core/local";
import { dataPlaneVariables } from "@vdc-os/core/remote";
import type { HostDirectory } from "./host-directory.ts";
import { maxLogBytes } from "./limit-log.ts";
import { hostDirectoryVariable, spawnVariable } from "./process-table.ts";

/** What is executed for a program of a spec. */
export interface ResolvedProgram {
  readonly command: string;
  readonly args: readonly string[];
}

/** Options of {@link startProcess}. */
export interface StartProcessOptions {
  readonly directory: HostDirectory;
  readonly hostId: string;
  /** Names the start. */
  readonly spawn: string;
}

/** How a program is started. Throws `FAILED_PRECONDITION` when its module is not installed. */
export function resolveProgram(spec: EnsureProcess, resolveFrom: string): ResolvedProgram {
  const { program } = spec;
  if (program.kind === "command") return { command: program.command, args: program.args };
  let cause: unknown;
  try {
    const path = pathOf(program.module, resolveFrom);
    if (path !== undefined && statSync(path).isFile()) return { command: process.execPath, args: [path] };
  } catch (error) {
    cause = error;
  }
  throw new VdcError(
    "FAILED_PRECONDITION",
    `the module '${program.module}' of process '${spec.processId}' is not installed on this host`,
    { reason: "VDC_MODULE_NOT_FOUND", ...(cause === undefined ? {} : { cause }) },
  );
}

/** Where a module lies: one of a package, an absolute path, or a file URL. What is relative would depend on where the runtime lies. */
function pathOf(module: string, resolveFrom: string): string | undefined {
  if (module.startsWith("file:")) return fileURLToPath(module);
  if (isAbsolute(module)) return module;
  const path = module.startsWith(".") ? undefined : createRequire(resolveFrom).resolve(module);
  // A module of Node.js itself resolves to its name.
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** The variables by which a process is recognised and finds its control socket and its configuration, which is written here. */
async function prepareEnvironment(
  spec: EnsureProcess,
  { directory, hostId, spawn }: StartProcessOptions,
): Promise<NodeJS.ProcessEnv> {
  const environment: NodeJS.ProcessEnv = {
    ...withoutOwnVariables(process.env),
    [hostDirectoryVariable]: directory.root,
    [spawnVariable]: spawn,
    [dataPlaneVariables.owner]: `${spec.owner.datacenter}/${hostId}/${spec.processId}`,
    [dataPlaneVariables.processId]: spec.processId,
  };
  if (spec.program.kind === "module") {
    await writeFileAtomic(directory.config(spec.processId), JSON.stringify(spec.program.config));
    environment[dataPlaneVariables.controlSocket] = directory.controlSocket(spec.processId);
    environment[dataPlaneVariables.configFile] = directory.config(spec.processId);
  }
  return environment;
}

/** Starts a process that outlives the runtime. Rejects when it can't be started, for whatever reason. */
export async function startProcess(
  spec: EnsureProcess,
  program: ResolvedProgram,
  options: StartProcessOptions,
): Promise<ChildProcess> {
  const { directory } = options;
  const env = await prepareEnvironment(spec, options);
  const output = openLog(directory.log(spec.processId));
  let child: ChildProcess;
  try {
    // Detached: a session of its own, so that no terminal or group signal meant for the runtime reaches it.
    const stdio: StdioOptions = ["ignore", output, output];
    child = spawn(program.command, program.args, { detached: true, stdio, env, cwd: directory.root });
  } finally {
    closeSync(output);
  }
  // Some failures have been thrown by now, others come as an event.
  await once(child, "spawn");
  child.unref();
  return child;
}

function withoutOwnVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("VDC_")));
}

/** Opens a log to append to; what a log beyond the limit holds is kept as `.1`. */
function openLog(path: string): number {
  try {
    if (statSync(path).size > maxLogBytes) renameSync(path, `${path}.1`);
  } catch {
    // There is none yet.
  }
  return openSync(path, "a", 0o600);
}
