import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { isVdcError, VdcError } from "@vdc-os/core";
import type { Datacenter } from "@vdc-os/sdk";
import type { CommandContext } from "../commands/command-context.ts";
import { type LoadedConfig, loadConfig } from "../config/load-config.ts";
import { printable } from "../terminal/printable.ts";
import { findLockHolder } from "./lock-holder.ts";
import { inOwnNames } from "./own-names.ts";

/** Opens the datacenter of the config, does something with it, and closes it again, whatever became of it. */
export async function withDatacenter<T>(context: CommandContext, run: (dc: Datacenter) => Promise<T>): Promise<T> {
  const { cwd, env, configPath, signal } = context;
  const config = await loadConfig({ path: configPath, cwd, env });
  signal.throwIfAborted();
  const dc = await open(config, signal);
  try {
    return await run(dc);
  } catch (error) {
    throw await inOwnNames(dc, error);
  } finally {
    await dc.close();
  }
}

async function open({ options }: LoadedConfig, signal: AbortSignal): Promise<Datacenter> {
  // Loaded here, so that commands that need none of it answer at once.
  const { createDatacenter } = await import("@vdc-os/sdk");
  try {
    return await createDatacenter({ ...options, mode: "durable", signal });
  } catch (error) {
    if (!isVdcError(error) || error.reason !== "VDC_LOCKED") throw error;
    throw await lockedError(options.directory, error);
  }
}

/** Says who has the datacenter open, and what to do. */
async function lockedError(directory: string, cause: VdcError): Promise<VdcError> {
  const path = await realpath(directory).catch(() => directory);
  const holder = await findLockHolder(join(path, "manager"));
  // Something else of it than the datacenter itself may be held.
  if (!cause.message.includes(join(path, "manager"))) return cause;
  const who =
    holder === undefined ? "another process" : `process ${holder.pid} (${printable(holder.command).slice(0, 120)})`;
  return new VdcError("ALREADY_EXISTS", `${who} has the datacenter '${path}' open, and one process at a time can`, {
    reason: "VDC_LOCKED",
    cause,
    ...(holder === undefined ? {} : { details: { pid: holder.pid } }),
  });
}
