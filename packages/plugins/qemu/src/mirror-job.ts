import { VdcError } from "@vdc-os/core";
import type { QmpClient } from "@vdc-os/qmp";
import { z } from "zod";

/** A mirror job, as QEMU tells of it. */
export interface MirrorJob {
  /** `qapi/job.json`: JobStatus. `standby` is a `ready` one that is held for a moment. */
  readonly status: string;
  readonly copiedBytes: number;
  readonly totalBytes: number;
  /** Why it failed, or can't go on. */
  readonly error?: string;
}

/** A job of which a side fails is held rather than ended: see `cancelMirror`. */
const errorPolicy = { "on-source-error": "stop", "on-target-error": "stop" } as const;

const answerMs = 10_000;

const blocks = z.array(
  z.object({
    qdev: z.string().optional(),
    inserted: z.object({ "node-name": z.string().optional() }).optional(),
  }),
);
const jobs = z.array(
  z.object({
    device: z.string(),
    status: z.string(),
    "io-status": z.string(),
    offset: z.number(),
    len: z.number(),
    error: z.string().optional(),
  }),
);
const runState = z.object({ status: z.string() });
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

/** Begins to copy what a device has as its disk to a node. The job waits before it finalizes, and until it is dismissed. */
export async function startMirror(monitor: QmpClient, id: string, device: string): Promise<void> {
  await monitorCall(monitor, "blockdev-mirror", {
    "job-id": id,
    device: await rootNode(monitor, device),
    target: id,
    sync: "full",
    "copy-mode": "write-blocking",
    "auto-finalize": false,
    "auto-dismiss": false,
    ...errorPolicy,
  });
}

/** The job of this id, if QEMU has it. */
export async function mirrorJob(monitor: QmpClient, id: string): Promise<MirrorJob | undefined> {
  const job = jobs.parse(await monitorCall(monitor, "query-block-jobs")).find(({ device }) => device === id);
  if (job === undefined) return undefined;
  const broken = job["io-status"] === "ok" ? undefined : `a volume reported an error ('${job["io-status"]}')`;
  const error = job.error ?? broken;
  return {
    status: job.status,
    copiedBytes: job.offset,
    totalBytes: job.len,
    ...(error === undefined ? {} : { error }),
  };
}

/**
 * Cancels a job that has not ended. The guest stands still for it: QEMU (7.2 was looked at) frees what a mirror job keeps of writes in flight before it has
 * waited for them, when the job is cancelled or fails, and then crashes. A VM that stands still has none in flight.
 */
export async function cancelMirror(monitor: QmpClient, id: string): Promise<void> {
  await monitorCall(monitor, "stop");
  await monitorCall(monitor, "job-cancel", { id });
}

/** Lets a guest go on that was made to stand still. */
export async function resumeGuest(monitor: QmpClient): Promise<void> {
  const { status } = runState.parse(await monitorCall(monitor, "query-status"));
  if (status === "paused") await monitorCall(monitor, "cont");
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

/** Closes the volumes that QEMU has open, and that neither a disk nor a job uses. */
export async function removeUnusedNodes(monitor: QmpClient): Promise<void> {
  const found = nodes.parse(await monitorCall(monitor, "query-named-block-nodes", { flat: true }));
  for (const { "node-name": name } of found) {
    if (name === undefined || !/^(?:disk|move|grow)-/.test(name)) continue;
    // One that is in use is refused, and stays.
    await monitor.execute("blockdev-del", { "node-name": name }, { timeoutMs: answerMs }).catch(() => undefined);
  }
}
