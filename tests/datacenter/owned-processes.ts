import { readdir, readFile } from "node:fs/promises";
import { awaitExit, type ProcessIdentity, readProcessStat } from "@vdc-os/core/local";

/** A process of a datacenter. */
export interface DatacenterProcess {
  readonly pid: number;
  readonly what: "runtime" | "storage" | "switch" | "qemu" | "other";
  /** What it was started for: `VDC_OWNER`. */
  readonly owner: string | undefined;
  readonly command: string;
}

/** How long a process that is ending is waited for. */
const endingMs = 5_000;

/**
 * All processes that name a datacenter's folder, in their environment or their command line; this one excepted. A process loses both before it has let go of
 * its files, so one that is ending may be any: it is waited for, and what is not among the found runs no more.
 */
export async function findProcesses(directory: string): Promise<readonly DatacenterProcess[]> {
  const found: DatacenterProcess[] = [];
  const ending: ProcessIdentity[] = [];
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const [environment = "", command = ""] = await Promise.all(
      ["environ", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "latin1").catch(() => "")),
    );
    const isNamed = environment.includes(directory) || command.includes(directory);
    if (!isNamed && command !== "") continue;
    const stat = readProcessStat(pid);
    if (stat === undefined) continue;
    const identity = { pid, startTicks: stat.startTicks };
    if (!isNamed) {
      if (stat.isEnding) ending.push(identity);
      continue;
    }
    if (stat.isEnding && (await awaitExit(identity, endingMs))) continue;
    const variables = new Map(
      environment.split("\0").map((pair) => [pair.split("=", 1)[0] ?? "", pair.slice(pair.indexOf("=") + 1)]),
    );
    const owner = variables.get("VDC_OWNER");
    const processId = variables.get("VDC_PROCESS_ID") ?? "";
    const program = command.split("\0", 1)[0] ?? "";
    let what: DatacenterProcess["what"] = "other";
    if (program.includes("qemu-system")) what = "qemu";
    else if (processId.startsWith("storage-")) what = "storage";
    else if (processId.startsWith("switch-")) what = "switch";
    else if (owner === undefined && variables.has("VDC_HOST_DIRECTORY")) what = "runtime";
    found.push({ pid, what, owner, command: command.replaceAll("\0", " ").trim() });
  }
  await Promise.all(ending.map((one) => awaitExit(one, endingMs)));
  return found;
}

/** The Unix sockets that anybody listens on, or has open, under a folder. */
export async function findSockets(directory: string): Promise<readonly string[]> {
  const table = await readFile("/proc/net/unix", "latin1");
  return table.split("\n").filter((line) => line.includes(`${directory}/`));
}

/** Kills a process the hard way. False when it was gone already. */
export function killProcess(pid: number): boolean {
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}
