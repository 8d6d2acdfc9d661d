import { VdcError } from "@vdc-os/core";
import type { Damage, RecoveryPoint, RetentionPolicy } from "@vdc-os/core/backup/v1";
import { choosePoint, isOf, listPoints, recoveryOf, subjectText } from "../datacenter/recovery-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { formatTime } from "../terminal/duration.ts";
import { printable } from "../terminal/printable.ts";
import { formatTable } from "../terminal/table.ts";
import { repositoryText } from "./backup-run.ts";
import { type AddCommands, examples } from "./command-context.ts";

interface PruneOptions {
  readonly keepLast?: string;
  readonly keepDaily?: string;
  readonly keepWeekly?: string;
  readonly keepMonthly?: string;
  readonly of?: string;
  readonly dryRun?: boolean;
  readonly repository?: string;
}

/** `vdc backup points|verify|prune`. */
export const addBackupPointCommands: AddCommands = (parent, bind) => {
  parent
    .command("points")
    .description("the recovery points, oldest first, and what the repository saves")
    .argument("[name]", "of this VM or volume alone")
    .option("--repository <name>", "the repository; needed where there are several")
    .action(
      bind<{ repository?: string }>((context, { repository: named }, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const recovery = await recoveryOf(dc, named);
          const all = await listPoints(recovery, signal);
          const points = all.filter((point) => typeof args[0] !== "string" || isOf(point, args[0]));
          const repository = await recovery.repository.status({}, { signal });
          terminal.result({ points, repository }, () => {
            if (points.length === 0) return "There are no recovery points: 'vdc backup run --help'.";
            const { dataBytes, storedBytes, recoveryPoints } = repository;
            return `${pointsTable(points, terminal.style.dim)}\n\n${repositoryText(dataBytes, storedBytes, recoveryPoints)}`;
          });
        }),
      ),
    );
  parent
    .command("verify")
    .description("read all that recovery points need, and hold it against its hashes")
    .argument("[point]", "one alone: its id, how that begins, or a VM or volume for its newest")
    .option("--repository <name>", "the repository; needed where there are several")
    .action(
      bind<{ repository?: string }>((context, { repository: named }, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const recovery = await recoveryOf(dc, named);
          const wanted = typeof args[0] === "string" ? args[0] : undefined;
          const point = wanted === undefined ? undefined : choosePoint(await listPoints(recovery, signal), wanted);
          const report = await terminal.progress("Verifying", ({ update }) =>
            recovery.repository.verify(point === undefined ? {} : { recoveryPointId: point.recoveryPointId }, {
              signal,
              onProgress: update,
            }),
          );
          const { recoveryPoints, chunks, bytes, damages } = report;
          terminal.result({ verified: report }, () => {
            const what = `${recoveryPoints} recovery ${recoveryPoints === 1 ? "point" : "points"}`;
            const read = `${what}: ${chunks} chunks, ${formatByteSize(bytes)}`;
            return damages.length === 0 ? `${read}. All of it is well.` : `${read} are well.\n${damagesText(damages)}`;
          });
          if (damages.length > 0) {
            throw new VdcError(
              "DATA_LOSS",
              `${damages.length} damaged places: what needs them can't be restored wholly`,
              {
                reason: "VDC_BACKUP_DAMAGED",
              },
            );
          }
        }),
      ),
    );
  parent
    .command("prune")
    .description("remove recovery points that no rule keeps, and give back space")
    .option("--keep-last <number>", "the newest of each VM or volume")
    .option("--keep-daily <number>", "one of each of that many days")
    .option("--keep-weekly <number>", "one of each of that many weeks")
    .option("--keep-monthly <number>", "one of each of that many months")
    .option("--of <name>", "of this VM or volume alone")
    .option("--dry-run", "only tell what would be removed")
    .option("--repository <name>", "the repository; needed where there are several")
    .addHelpText(
      "after",
      examples([
        ["vdc backup prune --keep-last 7 --keep-weekly 8", "a rule is enough to be kept"],
        ["vdc backup prune --keep-last 3 --dry-run", "what would go"],
        ["vdc backup prune", "keep all points, give back what none needs"],
      ]),
    )
    .action(
      bind<PruneOptions>((context, options) => {
        const keep = keepOf(options);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { dryRun = false, of } = options;
          const recovery = await recoveryOf(dc, options.repository);
          const points = await listPoints(recovery, signal);
          const chosen =
            of === undefined
              ? [undefined]
              : [...new Set(points.filter((each) => isOf(each, of)).map(({ subject }) => subject))];
          if (chosen.length === 0) throw new VdcError("NOT_FOUND", `there are no recovery points of '${of}'`);
          const removed: string[] = [];
          let freedBytes = 0;
          let kept = 0;
          for (const subject of chosen) {
            const report = await terminal.progress("Pruning", ({ update }) =>
              recovery.repository.prune(
                { dryRun, ...(subject === undefined ? {} : { subject }), ...(keep === undefined ? {} : { keep }) },
                { signal, onProgress: update },
              ),
            );
            removed.push(...report.removed);
            freedBytes += report.freedBytes;
            kept += report.kept;
          }
          terminal.result({ pruned: { removed, kept, freedBytes, dryRun } }, () => {
            const gone = points.filter(({ recoveryPointId }) => removed.includes(recoveryPointId));
            const list = gone.length === 0 ? "" : `${pointsTable(gone, terminal.style.dim)}\n\n`;
            const verb = dryRun ? "would be removed" : "removed";
            const freed = dryRun ? "" : `, ${formatByteSize(freedBytes)} given back`;
            return `${list}${removed.length} ${verb}, ${kept} kept${freed}.`;
          });
        });
      }),
    );
};

function keepOf(options: PruneOptions): RetentionPolicy | undefined {
  const rules = {
    last: options.keepLast,
    daily: options.keepDaily,
    weekly: options.keepWeekly,
    monthly: options.keepMonthly,
  };
  const given = Object.entries(rules).flatMap(([rule, text]) =>
    text === undefined ? [] : [[rule, countOf(rule, text)]],
  );
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

function countOf(rule: string, text: string): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value <= 100_000) return value;
  throw usageError(`'--keep-${rule} ${text}': say how many`);
}

function pointsTable(points: readonly RecoveryPoint[], dim: (text: string) => string): string {
  const rows = points.map((point) => {
    const sum = (of: (disk: RecoveryPoint["disks"][number]) => number): string =>
      formatByteSize(point.disks.reduce((total, disk) => total + of(disk), 0));
    return [
      point.recoveryPointId.slice(0, 12),
      printable(subjectText(point)),
      formatTime(point.createdAt),
      point.disks.map(({ diskId }) => diskId).join(","),
      sum(({ capacityBytes }) => capacityBytes),
      sum(({ dataBytes }) => dataBytes),
      sum(({ storedBytes }) => storedBytes),
    ];
  });
  return formatTable(
    [
      { title: "POINT" },
      { title: "OF" },
      { title: "TAKEN (UTC)" },
      { title: "DISKS" },
      { title: "SIZE", align: "right" },
      { title: "DATA", align: "right" },
      { title: "STORED", align: "right" },
    ],
    rows,
    dim,
  );
}

function damagesText(damages: readonly Damage[]): string {
  return damages
    .map(({ recoveryPointId, diskId, offset, length, message }) => {
      const where = [
        recoveryPointId === undefined ? "" : `point ${recoveryPointId.slice(0, 12)}`,
        diskId === undefined ? "" : `disk '${diskId}'`,
        offset === undefined ? "" : `at ${formatByteSize(offset)}`,
        length === undefined ? "" : `${formatByteSize(length)}`,
      ];
      return `damaged: ${[...where.filter(Boolean), printable(message)].join(", ")}`;
    })
    .join("\n");
}
