import { readdir, readFile, rm } from "node:fs/promises";
import { type EnsureProcess, hostRuntime, type ProcessState, type ProcessStatus } from "@vdc-os/core/host/v1";
import { syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { z } from "zod";
import type { HostDirectory } from "./host-directory.ts";

/**
 * What is known of a supervised process across restarts of the runtime. It is written before the process is spawned, as an intent, and
 * again with its pid; a process whose pid was not written yet is recognised by `spawn` in its environment.
 */
export interface ProcessRecord {
  readonly format: 1;
  readonly spec: EnsureProcess;
  /** Whether it is to run, is being removed, or has ended for good (`restart: "never"`). */
  readonly wanted: "running" | "removed" | "ended";
  /** Names one start: in the environment of the process as `VDC_SPAWN`. */
  readonly spawn?: string | undefined;
  /** The boot in which `pid` means something. */
  readonly bootId?: string | undefined;
  readonly pid?: number | undefined;
  readonly startTicks?: number | undefined;
  readonly startedAt?: number | undefined;
  readonly restarts: number;
  readonly lastExit?: string | undefined;
}

const record = z.object({
  format: z.literal(1),
  spec: hostRuntime.operations.ensureProcess!.input as z.ZodType<EnsureProcess>,
  wanted: z.enum(["running", "removed", "ended"]),
  spawn: z.string().optional(),
  bootId: z.string().optional(),
  pid: z.int().optional(),
  startTicks: z.number().optional(),
  startedAt: z.number().optional(),
  restarts: z.int(),
  lastExit: z.string().optional(),
});

/** How `lastExit` begins for a program that is not there. */
const couldNot = "could not be started";

/** The `lastExit` of what could not be started. */
export function noStart(error: unknown): string {
  return `${couldNot}: ${(error as Error).message}`;
}

/** Whether a `lastExit` says that it could not be started. */
export function isNoStart(lastExit: string | undefined): boolean {
  return lastExit?.startsWith(couldNot) === true;
}

/** Whether a process that ends is started again. */
export function isStartedAgain({ restart, program }: EnsureProcess): boolean {
  return (restart ?? (program.kind === "module" ? "always" : "never")) === "always";
}

/** The record of a process that has ended by itself. What never began would not begin by being tried again. */
export function recordOfEnd(record: ProcessRecord, lastExit: string): ProcessRecord {
  const isOver = !isStartedAgain(record.spec) || (record.restarts === 0 && isNoStart(lastExit));
  return { ...record, lastExit, ...(isOver ? { wanted: "ended" } : { restarts: record.restarts + 1 }) };
}

/** What is told of a process that stands so. */
export function statusOf(
  { spec, pid, startedAt, restarts, lastExit }: ProcessRecord,
  state: ProcessState,
  controlSocket: string | undefined,
): ProcessStatus {
  const { processId, owner } = spec;
  const isAlive = state === "running" || state === "starting";
  return {
    processId,
    owner,
    state,
    ...(isAlive && pid !== undefined ? { pid } : {}),
    ...(isAlive && startedAt !== undefined ? { startedAt } : {}),
    restarts,
    ...(controlSocket === undefined ? {} : { controlSocket }),
    ...(lastExit === undefined ? {} : { lastExit }),
  };
}

/** Writes a record so that it survives a crash. */
export async function writeRecord(directory: HostDirectory, value: ProcessRecord): Promise<void> {
  await writeFileAtomic(directory.record(value.spec.processId), JSON.stringify(value));
}

/** Removes all files of a process. Its record goes last: while it is there the removal is not finished. */
export async function removeRecord(directory: HostDirectory, processId: string): Promise<void> {
  await rm(`${directory.run}/${processId}.ctl`, { force: true });
  await rm(directory.config(processId), { force: true });
  await rm(directory.log(processId), { force: true });
  await rm(`${directory.log(processId)}.1`, { force: true });
  await rm(directory.record(processId), { force: true });
  await syncDirectory(directory.processes);
}

/** Reads all records. One that is damaged is left out: its processes are then orphans, and end. */
export async function readRecords(directory: HostDirectory): Promise<readonly ProcessRecord[]> {
  const records: ProcessRecord[] = [];
  for (const name of (await readdir(directory.processes)).sort()) {
    // What a crash left of a write.
    if (name.endsWith(".tmp")) await rm(`${directory.processes}/${name}`, { force: true });
    if (!name.endsWith(".json")) continue;
    try {
      const parsed = record.safeParse(JSON.parse(await readFile(`${directory.processes}/${name}`, "utf8")));
      if (parsed.success && `${parsed.data.spec.processId}.json` === name) records.push(parsed.data);
    } catch {
      // Not JSON: damaged as well.
    }
  }
  return records;
}
