import { VdcError } from "@vdc-os/core";
import type { RecoveryPoint, RecoveryPointDisk, RestoredDisk } from "@vdc-os/core/backup/v1";
import type { DatacenterRecovery } from "@vdc-os/plugin-data-recovery";
import type { Datacenter } from "@vdc-os/sdk";
import { choosePoint, listPoints, recoveryOf, subjectText } from "../datacenter/recovery-access.ts";
import { storageOf } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { formatTime } from "../terminal/duration.ts";
import { type AddCommands, type CommandContext, examples, textArgument } from "./command-context.ts";

interface RestoreOptions {
  readonly disk?: readonly string[];
  readonly into?: string;
  readonly storage?: string;
  readonly overwrite?: boolean;
  readonly repository?: string;
}

/** A disk, and the volume that it is written into. */
interface RestorePlan {
  readonly disk: RecoveryPointDisk;
  readonly volume: string;
}

/** `vdc backup restore`. */
export const addBackupRestoreCommand: AddCommands = (parent, bind) => {
  parent
    .command("restore")
    .description("write the disks of a recovery point into volumes")
    .argument("<point>", "its id, how that begins, or a VM or volume for its newest")
    .option("--into <volume>", "the volume; with several disks, how the names begin. Default: NAME-restored")
    .option("--disk <id...>", "these disks alone")
    .option("--storage <name>", "the pool of new volumes. Default: where the disk was")
    .option("--overwrite", "write into volumes that are there already: what they hold is lost")
    .option("--repository <name>", "the repository; needed where there are several")
    .addHelpText(
      "after",
      examples([
        ["vdc backup restore disk --into rescued", "the newest point of 'disk', into a new volume"],
        ["vdc backup restore 1f3a9c --disk disk0", "one disk of a point"],
        ["vdc backup restore 1f3a9c --into disk --overwrite", "back into the volume it came from"],
      ]),
    )
    .action(
      bind<RestoreOptions>((context, options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const recovery = await recoveryOf(dc, options.repository);
          const point = choosePoint(await listPoints(recovery, signal), textArgument(args, 0));
          const plans = plansOf(point, options);
          const restored: (RestoredDisk & { readonly volume: string })[] = [];
          for (const plan of plans) {
            const disk = await restoreOne(context, dc, recovery, point, plan, options);
            restored.push({ ...disk, volume: plan.volume });
          }
          terminal.result({ restored: { recoveryPointId: point.recoveryPointId, disks: restored } }, () => {
            const from = `${subjectText(point)} of ${formatTime(point.createdAt)} UTC`;
            const lines = restored.map(
              ({ volume, diskId, capacityBytes, writtenBytes }) =>
                `Volume '${volume}': disk '${diskId}' of ${from}, ${formatByteSize(capacityBytes)}, ${formatByteSize(writtenBytes)} written.`,
            );
            return lines.join("\n");
          });
        }),
      ),
    );
};

/** Which disk goes into which volume. Fails with `NOT_FOUND` for a disk that the point does not have. Pure. */
export function plansOf(
  point: Pick<RecoveryPoint, "disks" | "labels" | "recoveryPointId">,
  { disk: wanted, into }: Pick<RestoreOptions, "disk" | "into">,
): readonly RestorePlan[] {
  const missing = wanted?.find((id) => !point.disks.some(({ diskId }) => diskId === id));
  if (missing !== undefined) {
    const there = point.disks.map(({ diskId }) => `'${diskId}'`).join(", ");
    throw new VdcError("NOT_FOUND", `the recovery point has no disk '${missing}'; it has ${there}`);
  }
  const disks = point.disks.filter(({ diskId }) => wanted?.includes(diskId) ?? true);
  const base = into ?? `${point.labels.vm ?? point.labels.volume ?? point.recoveryPointId.slice(0, 8)}-restored`;
  return disks.map((disk) => ({ disk, volume: disks.length === 1 ? base : `${base}-${disk.diskId}` }));
}

/** Restores a disk. A volume that is made for it is removed again when it fails or is cancelled. */
async function restoreOne(
  { terminal, signal }: CommandContext,
  dc: Datacenter,
  recovery: DatacenterRecovery,
  { recoveryPointId }: RecoveryPoint,
  { disk, volume }: RestorePlan,
  { storage = disk.storage, overwrite = false }: RestoreOptions,
): Promise<RestoredDisk> {
  const there = await dc.volumes.find(volume, { signal });
  if (there !== undefined && !overwrite) {
    throw new VdcError("ALREADY_EXISTS", `volume '${volume}' is there already: say '--overwrite', or '--into' another`);
  }
  if (there === undefined) storageOf(dc, storage);
  const { diskId, capacityBytes } = disk;
  return terminal.progress(
    `Restoring '${volume}'`,
    async ({ update }) => {
      try {
        if (there === undefined) {
          await dc.volumes.createAndWait({ name: volume, spec: { storage, capacityBytes } }, { signal });
        }
        return await recovery.restoreDisk(recoveryPointId, { diskId, volume, signal, onProgress: update });
      } catch (error) {
        const undoing = AbortSignal.timeout(30_000);
        if (there === undefined) await dc.volumes.deleteAndWait(volume, { signal: undoing }).catch(() => {});
        throw error;
      }
    },
    { totalBytes: capacityBytes },
  );
}
