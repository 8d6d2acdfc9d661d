import { toVdcError, VdcError } from "@vdc-os/core";
import type { RecoveryPoint, RepositoryStatus } from "@vdc-os/core/backup/v1";
import type { DatacenterRecovery } from "@vdc-os/plugin-data-recovery";
import type { Datacenter } from "@vdc-os/sdk";
import { recoveryOf, subjectText, volumeDisk } from "../datacenter/recovery-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, type CommandContext, examples, listArgument } from "./command-context.ts";
import { percent } from "./volume-text.ts";

interface RunOptions {
  readonly volumes?: readonly string[];
  readonly all?: boolean;
  readonly full?: boolean;
  readonly perDisk?: boolean;
  readonly repository?: string;
}

/** What was backed up, or why not. */
interface BackupOutcome {
  readonly of: { readonly kind: "VM" | "volume"; readonly name: string };
  readonly point?: RecoveryPoint;
  readonly error?: VdcError;
}

/** `vdc backup run`. */
export const addBackupRunCommand: AddCommands = (parent, bind) => {
  parent
    .command("run")
    .description("make a recovery point of each VM or volume, while it is used")
    .argument("[vm...]", "the VMs: all disks of each, as of one moment")
    .option("--volumes <name...>", "volumes, each by itself")
    .option("--all", "all VMs, and the volumes that no VM has")
    .option("--full", "read everything, also where only what has changed would do")
    .option("--per-disk", "take a VM's disks one after the other where they can't be had of one moment")
    .option("--repository <name>", "the repository; needed where there are several")
    .addHelpText(
      "after",
      examples([
        ["vdc backup run web-1 db-1", "two VMs"],
        ["vdc backup run --volumes disk", "a volume"],
        ["vdc backup run --all", "everything"],
      ]),
    )
    .action(
      bind<RunOptions>((context, options, args) => {
        const named = listArgument(args, 0);
        if (named.length + (options.volumes?.length ?? 0) === 0 && options.all !== true) {
          throw usageError("say which VMs, or '--volumes NAME', or '--all'");
        }
        return withDatacenter(context, async (dc) => {
          const { signal, terminal } = context;
          const recovery = await recoveryOf(dc, options.repository);
          const outcomes: BackupOutcome[] = [];
          for (const of of await subjectsOf(dc, named, options, signal)) {
            outcomes.push(await backUp(context, dc, recovery, of, options));
          }
          const repository = await recovery.repository.status({}, { signal });
          const points = outcomes.flatMap(({ point }) => point ?? []);
          const failed = outcomes.flatMap(({ of, error }) =>
            error === undefined ? [] : [{ of, error: error.toJSON() }],
          );
          terminal.result({ points, failed, repository }, () => outcomesText(points, repository, terminal.style.dim));
          const [first, ...more] = outcomes.filter(({ error }) => error !== undefined);
          if (first?.error === undefined) return;
          const others = more.map(({ of, error }) => `; ${of.kind} '${of.name}': ${error?.message}`).join("");
          const { code, reason, message, blockers } = first.error;
          throw new VdcError(
            code,
            `${first.of.kind} '${first.of.name}' has no new recovery point: ${message}${others}`,
            {
              reason,
              blockers,
            },
          );
        });
      }),
    );
};

async function subjectsOf(
  dc: Datacenter,
  vms: readonly string[],
  { volumes = [], all = false }: RunOptions,
  signal: AbortSignal,
): Promise<readonly BackupOutcome["of"][]> {
  const found: BackupOutcome["of"][] = [];
  const present = all ? await dc.vms.list({ signal }) : [];
  const ofVms = new Set(present.flatMap(({ status }) => (status.disks ?? []).map(({ volume }) => volume)));
  const free = all ? (await dc.volumes.list({ signal })).map(({ metadata }) => metadata.name) : [];
  for (const name of new Set([...vms, ...present.map(({ metadata }) => metadata.name)]))
    found.push({ kind: "VM", name });
  const alone = free.filter((name) => !ofVms.has(name));
  for (const name of new Set([...volumes, ...alone])) found.push({ kind: "volume", name });
  return found;
}

/** Backs up one of them. Its failure does not keep the others from it; an interruption does. */
async function backUp(
  { terminal, signal }: CommandContext,
  dc: Datacenter,
  recovery: DatacenterRecovery,
  of: BackupOutcome["of"],
  { full = false, perDisk = false }: RunOptions,
): Promise<BackupOutcome> {
  const mode = full ? ({ mode: "full" } as const) : {};
  const consistency = perDisk ? ({ consistency: "perDisk" } as const) : {};
  try {
    const totalBytes = await sizeOf(dc, of, signal);
    const point = await terminal.progress(
      `Backing up ${of.kind} '${of.name}'`,
      async ({ update }) => {
        const call = { signal, onProgress: update };
        if (of.kind === "VM") return recovery.backUpVm(of.name, { ...mode, ...consistency, ...call });
        const { disk, subject, uid } = await volumeDisk(dc, of.name, signal);
        const name = new Date().toISOString().toLowerCase().replaceAll(":", ".");
        const labels = { volume: of.name, volumeUid: uid };
        return recovery.repository.createRecoveryPoint({ name, subject, disks: [disk], labels, ...mode }, call);
      },
      { totalBytes },
    );
    return { of, point };
  } catch (error) {
    if (signal.aborted) throw error;
    return { of, error: toVdcError(error) };
  }
}

/** What there is to read at most. */
async function sizeOf(dc: Datacenter, { kind, name }: BackupOutcome["of"], signal: AbortSignal): Promise<number> {
  const disks = kind === "VM" ? ((await dc.vms.get(name, { signal })).status.disks ?? []) : [{ volume: name }];
  const volumes = await Promise.all(disks.map(({ volume }) => dc.volumes.get(volume, { signal })));
  return volumes.reduce((sum, { status }) => sum + (status.capacityBytes ?? 0), 0);
}

function outcomesText(
  points: readonly RecoveryPoint[],
  { dataBytes, storedBytes, recoveryPoints }: RepositoryStatus,
  dim: (text: string) => string,
): string {
  const rows = points.flatMap((point) =>
    point.disks.map((disk) => [
      point.recoveryPointId.slice(0, 12),
      subjectText(point),
      disk.diskId,
      disk.reading,
      formatByteSize(disk.readBytes),
      formatByteSize(disk.newBytes),
      formatByteSize(disk.storedBytes),
    ]),
  );
  const table = formatTable(
    [
      { title: "POINT" },
      { title: "OF" },
      { title: "DISK" },
      { title: "READ AS" },
      { title: "READ", align: "right" },
      { title: "NEW", align: "right" },
      { title: "STORED", align: "right" },
    ],
    rows,
    dim,
  );
  return rows.length === 0
    ? repositoryText(dataBytes, storedBytes, recoveryPoints)
    : `${table}\n\n${repositoryText(dataBytes, storedBytes, recoveryPoints)}`;
}

/** What a repository saves: `3 recovery points of 12 GiB in 2.1 GiB (18%)`. */
export function repositoryText(dataBytes: number, storedBytes: number, recoveryPoints: number): string {
  const points = `${recoveryPoints} recovery ${recoveryPoints === 1 ? "point" : "points"}`;
  return `The repository: ${points}, ${formatByteSize(dataBytes)} of data in ${formatByteSize(storedBytes)} (${percent(storedBytes, dataBytes)}).`;
}
