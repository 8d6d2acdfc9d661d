import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { readFileSync } from "node:fs";
import { WireError } from "../wire-error.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 5000;

/** Runs `ip` of iproute2. Rejects with what it said. */
export async function ip(args: readonly string[], signal?: AbortSignal): Promise<void> {
  await run("ip", [...args], { timeout: TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) });
}

/** Why `ip` failed, in its own words or better ones. */
export function whyIpFailed(cause: unknown): string {
  const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
  if (/EPERM|not permitted/i.test(said)) return "it needs root, or CAP_NET_ADMIN";
  if (said !== "") return said;
  return (cause as NodeJS.ErrnoException).code === "ENOENT" ? "'ip' of iproute2 is not installed" : String(cause);
}

/** The number of an interface of this host. Throws `UNAVAILABLE` when there is none of that name. */
export function interfaceIndex(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, "utf8"));
  } catch (cause) {
    throw new WireError("UNAVAILABLE", `there is no network interface '${name}' on this host`, { cause });
  }
}

export function hasInterface(name: string): boolean {
  try {
    interfaceIndex(name);
    return true;
  } catch {
    return false;
  }
}
