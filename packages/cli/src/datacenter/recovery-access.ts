import { VdcError } from "@vdc-os/core";
import { type BackupDisk, backupRepository, type RecoveryPoint } from "@vdc-os/core/backup/v1";
import type { DatacenterRecovery } from "@vdc-os/plugin-data-recovery";
import type { Datacenter } from "@vdc-os/sdk";
import { usageError } from "../failure/failure.ts";
import { presentVolume } from "./storage-access.ts";

/** The repository that was named, or the only one; in the terms of the datacenter. */
export async function recoveryOf(dc: Datacenter, named: string | undefined): Promise<DatacenterRecovery> {
  const names = dc.kernel.all(backupRepository).names();
  if (names.length === 0) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      "the datacenter has no backup repository: add '@vdc-os/plugin-data-recovery' to the plugins of its config",
    );
  }
  if (named === undefined && names.length > 1) {
    throw usageError(`say which repository with '--repository': ${names.map((name) => `'${name}'`).join(", ")}`);
  }
  const { DatacenterRecovery } = await import("@vdc-os/plugin-data-recovery");
  return new DatacenterRecovery(dc, dc.kernel.all(backupRepository).get(named ?? names[0] ?? ""));
}

/** What a volume's recovery points are kept under. It holds the uid: a volume that is made anew under an old name begins its own. */
export function volumeSubject({ name, uid }: { readonly name: string; readonly uid: string }): string {
  return `volume/${name}/${uid}`;
}

/** A volume as a recovery point's disk. One whose storage has no snapshots is read itself, in a generation that nobody had before. */
export async function volumeDisk(
  dc: Datacenter,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly disk: BackupDisk; readonly subject: string; readonly uid: string }> {
  const { object, storage, volumeId } = await presentVolume(dc, name, signal);
  const snapshots = await storage.facet("snapshots", { signal });
  const { metadata, status } = object;
  if (!snapshots.available && status.attachedTo !== undefined) {
    const { vm } = status.attachedTo;
    throw new VdcError(
      "FAILED_PRECONDITION",
      `volume '${name}' is used by VM '${vm}', and storage '${storage.name}' has no snapshots: stop the VM first`,
      { blockers: [{ kind: "VirtualMachine", name: vm }] },
    );
  }
  const generation = snapshots.available ? {} : { generation: (status.generation ?? 0) + 1 };
  const disk = { diskId: name, storage: storage.name, volumeId, ...generation };
  return { disk, subject: volumeSubject(metadata), uid: metadata.uid };
}

/** All recovery points, oldest first. */
export async function listPoints(recovery: DatacenterRecovery, signal: AbortSignal): Promise<readonly RecoveryPoint[]> {
  const points: RecoveryPoint[] = [];
  let pageToken: string | undefined;
  do {
    const page = await recovery.repository.listRecoveryPoints(pageToken === undefined ? {} : { pageToken }, { signal });
    points.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return points;
}

/** What a point is of: `VM 'web-1'`, `volume 'disk'`, or its subject where it was made by another program. */
export function subjectText({ labels, subject }: Pick<RecoveryPoint, "labels" | "subject">): string {
  if (labels.vm !== undefined) return `VM '${labels.vm}'`;
  return labels.volume === undefined ? subject : `volume '${labels.volume}'`;
}

/** Whether a point is of what a person names: a VM, a volume, or a subject. */
export function isOf({ labels, subject }: Pick<RecoveryPoint, "labels" | "subject">, name: string): boolean {
  return labels.vm === name || labels.volume === name || subject === name;
}

/** The point that a person means: by its id, by how the id begins, or the newest of a VM or volume. */
export function choosePoint(points: readonly RecoveryPoint[], wanted: string): RecoveryPoint {
  const exact = points.find(({ recoveryPointId }) => recoveryPointId === wanted);
  if (exact !== undefined) return exact;
  const beginning = points.filter(({ recoveryPointId }) => wanted.length >= 4 && recoveryPointId.startsWith(wanted));
  const [only, ...more] = beginning;
  if (only !== undefined && more.length === 0) return only;
  if (only !== undefined)
    throw usageError(`${beginning.length} recovery points begin with '${wanted}': write more of it`);
  const newest = points.findLast((point) => isOf(point, wanted));
  if (newest !== undefined) return newest;
  throw new VdcError("NOT_FOUND", `there is no recovery point '${wanted}', and none of a VM or volume of that name`);
}
