import { VdcError } from "@vdc-os/core";
import type { QmpClient } from "@vdc-os/qmp";
import { z } from "zod";

/** A mirror job, as QEMU tells of it. */
export interface MirrorJob {
  /** `qapi/job.json`: JobStatus. `standby` is a `ready` one that is held for a moment. */
  readonly status: string;
  readonly copiedBytes: number;
  readonly totalBytes: number;
  readonly error?: string;
}

const answerMs = 10_000;

const blocks = z.array(
  z.object({
    qdev: z.string().optional(),
    inserted: z.object({ "node-name": z.string().optional() }).optional(),
  }),
);
const nodes = z.array(z.object({ "node-name": z.string().optional() }));

/** Executes a command of a migration. Rejects with `UNAVAILABLE` when the monitor does not answer or a volume can't be reached, `FAILED_PRECONDITION` when QEMU refuses. */
export async function monitorCall(
  monitor: QmpClient,
  command: string,
  input?: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  try {
    return await monitor.execute(command, input, { timeoutMs: answerMs });
  } catch (cause) {
    const { code, message } = cause as { readonly code?: string; readonly message: string };
    if (code !== "QMP_COMMAND_FAILED") {
      throw new VdcError("UNAVAILABLE", `QEMU did not answer '${command}': ${message}`, { cause });
    }
    if (/failed to connect|connection refused|no such file/i.test(message)) {
      const reason = "VDC_DISK_UNREACHABLE";
      throw new VdcError("UNAVAILABLE", `the target can't be reached: ${message}`, { reason, cause });
    }
    throw new VdcError("FAILED_PRECONDITION", `QEMU refused '${command}': ${message}`, {
      reason: "VDC_QEMU_REFUSED",
      cause,
    });
  }
}

/** The job of this id, if QEMU has it. */
export async function mirrorJob(monitor: QmpClient, id: string): Promise<MirrorJob | undefined> {
  const jobs = await monitor.execute("query-jobs", undefined, { timeoutMs: answerMs }).catch((cause: unknown) => {
    throw new VdcError("UNAVAILABLE", "QEMU does not say what it is doing", { cause });
  });
  const job = jobs.find((one) => one.id === id);
  if (job === undefined) return undefined;
  return {
    status: job.status,
    copiedBytes: job["current-progress"],
    totalBytes: job["total-progress"],
    ...(job.error === undefined ? {} : { error: job.error }),
  };
}

/** The node that a device has as its disk now. */
export async function rootNode(monitor: QmpClient, device: string): Promise<string> {
  const found = blocks.parse(await monitorCall(monitor, "query-block"));
  const name = found.find(({ qdev }) => qdev?.split("/").includes(device) === true)?.inserted?.["node-name"];
  if (name === undefined) throw new VdcError("NOT_FOUND", `QEMU has no disk '${device}'`);
  return name;
}

/** Opens a volume, unless QEMU has it open under that name. */
export async function addNode(
  monitor: QmpClient,
  node: Readonly<Record<string, unknown>> & { readonly "node-name": string },
): Promise<void> {
  const found = nodes.parse(await monitorCall(monitor, "query-named-block-nodes", { flat: true }));
  if (found.some((one) => one["node-name"] === node["node-name"])) return;
  await monitorCall(monitor, "blockdev-add", node);
}

/** Closes the volumes that QEMU has open and that nothing uses, except those that are named. */
export async function removeNodesBut(monitor: QmpClient, keep: readonly string[]): Promise<void> {
  const found = nodes.parse(await monitorCall(monitor, "query-named-block-nodes", { flat: true }));
  for (const { "node-name": name } of found) {
    if (name === undefined || keep.includes(name) || !/^(?:disk|move)-/.test(name)) continue;
    // One that another disk still uses is refused, and stays.
    await monitor.execute("blockdev-del", { "node-name": name }, { timeoutMs: answerMs }).catch(() => undefined);
  }
}
