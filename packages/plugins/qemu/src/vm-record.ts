import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { generation, type OwnerStamp, ownerStamp } from "@vdc-os/core";
import { type VmSpec, vmSpec } from "@vdc-os/core/compute/v1";
import { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { type VolumeTransport, volumeTransport } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import type { HostFolder } from "./host-folder.ts";

/** One start of a VM, as it is recorded. */
export interface VmRun {
  /** Names the start, in the environment of its QEMU too. Recorded before QEMU is started. */
  readonly spawn: string;
  readonly bootId: string;
  readonly pid?: number;
  readonly startTicks?: number;
  /** When the CPUs first ran. Absent while the start is under way. */
  readonly startedAt?: number;
}

/** The last migration of a disk, as it is recorded. */
export interface DiskMigrationRecord {
  readonly diskId: string;
  readonly migrationId: string;
  readonly target: VolumeTransport;
  /** What was the disk before, of one that is `done`. */
  readonly source?: VolumeTransport;
  /** `done`: the target is the disk, and stands in the spec. In all others the source is. `cancelling` ends as `cancelled`, or `failed` with a message. */
  readonly state: "running" | "cancelling" | "done" | "cancelled" | "failed";
  readonly totalBytes: number;
  readonly message: string;
}

/** What is known of a VM on disk. Everything that must hold after `kill -9` is here before it is done. */
export interface VmRecord {
  readonly format: 1;
  readonly vmId: string;
  readonly uuid: string;
  readonly name: string;
  readonly spec: VmSpec;
  readonly owner?: OwnerStamp;
  /** The highest generation that was seen: anything older is fenced. */
  readonly highestGeneration?: number;
  /** The generation of the last start. */
  readonly generation?: number;
  /** `off`: whatever runs of it is to be ended. */
  readonly wanted: "running" | "off";
  /** Present while QEMU runs, or may run. */
  readonly run?: VmRun;
  /** How it last ended. */
  readonly lastEnd?: { readonly crashed: boolean; readonly detail: string };
  /** The last migration of each disk that ever had one. */
  readonly diskMigrations?: readonly DiskMigrationRecord[];
}

const vmRecord: z.ZodType<VmRecord> = z.object({
  format: z.literal(1),
  vmId: z.string(),
  uuid: z.string(),
  name: z.string(),
  spec: vmSpec,
  owner: ownerStamp.exactOptional(),
  highestGeneration: generation.exactOptional(),
  generation: generation.exactOptional(),
  wanted: z.enum(["running", "off"]),
  run: z
    .object({
      spawn: z.string(),
      bootId: z.string(),
      pid: z.int().exactOptional(),
      startTicks: z.int().exactOptional(),
      startedAt: z.number().exactOptional(),
    })
    .exactOptional(),
  lastEnd: z.object({ crashed: z.boolean(), detail: z.string() }).exactOptional(),
  diskMigrations: z
    .array(
      z.object({
        diskId: z.string(),
        migrationId: z.string(),
        target: volumeTransport,
        source: volumeTransport.exactOptional(),
        state: z.enum(["running", "cancelling", "done", "cancelled", "failed"]),
        totalBytes: z.number(),
        message: z.string(),
      }),
    )
    .exactOptional(),
});

/** Writes a VM's record, durably. */
export async function writeRecord(folder: HostFolder, record: VmRecord): Promise<void> {
  await writeFileAtomic(folder.record(record.vmId), JSON.stringify(record));
}

/** Makes a VM's folder and writes its first record, durably. */
export async function createRecord(folder: HostFolder, record: VmRecord): Promise<void> {
  await mkdir(folder.vm(record.vmId), { mode: 0o700 });
  await writeRecord(folder, record);
  await syncDirectory(folder.vms);
}

/** Removes a VM's record, then all that is left of it. */
export async function removeRecord(folder: HostFolder, vmId: string): Promise<void> {
  await rm(folder.record(vmId), { force: true });
  // From here on the VM is forgotten, also after a power cut; a folder without a record is removed when the host returns.
  await syncDirectory(folder.vm(vmId)).catch(() => undefined);
  await rm(folder.monitorSocket(vmId), { force: true });
  await rm(folder.consoleSocket(vmId), { force: true });
  await rm(folder.vm(vmId), { recursive: true, force: true });
  await syncDirectory(folder.vms);
}

/** What {@link readRecords} found, by VM id. */
export interface FoundRecords {
  readonly records: readonly VmRecord[];
  /** Records that can't be read: they are left alone. */
  readonly damaged: readonly string[];
  /** Folders without a record: what an interrupted create or delete left. */
  readonly abandoned: readonly string[];
}

/** Reads all records. */
export async function readRecords(folder: HostFolder): Promise<FoundRecords> {
  const records: VmRecord[] = [];
  const damaged: string[] = [];
  const abandoned: string[] = [];
  for (const vmId of await readdir(folder.vms)) {
    await removeUnfinishedWrites(folder.record(vmId));
    const text = await readFile(folder.record(vmId), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
      throw error;
    });
    if (text === undefined) {
      abandoned.push(vmId);
      continue;
    }
    const parsed = vmRecord.safeParse(parseJson(text));
    if (parsed.success && parsed.data.vmId === vmId) records.push(parsed.data);
    else damaged.push(vmId);
  }
  return { records, damaged, abandoned };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
