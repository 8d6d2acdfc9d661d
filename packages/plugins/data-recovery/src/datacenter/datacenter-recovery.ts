import { type CallOptions, type Handle, VdcError } from "@vdc-os/core";
import type { BackupDisk, BackupRepository, RecoveryPoint, RestoredDisk } from "@vdc-os/core/backup/v1";

/** What is needed of an object of a datacenter. */
interface NamedObject {
  readonly metadata: { readonly name: string; readonly uid: string };
}

/** What is needed of a datacenter: `createDatacenter`'s has it. */
export interface RecoverableDatacenter {
  readonly vms: {
    get(name: string): Promise<NamedObject & { readonly status: VmStatus }>;
    list(): Promise<readonly (NamedObject & { readonly status: VmStatus })[]>;
  };
  readonly volumes: {
    get(name: string): Promise<NamedObject & { readonly spec: VolumeSpec; readonly status: VolumeStatus }>;
  };
}

interface VmStatus {
  readonly disks?: readonly { readonly id: string; readonly volume: string }[];
}

interface VolumeSpec {
  readonly storage?: string;
}

interface VolumeStatus {
  /** Where a policy has put it. */
  readonly storage?: string;
  readonly volumeId?: string;
  readonly generation?: number;
  readonly attachedTo?: { readonly vm: string };
}

/** Options of a backup. */
export interface BackUpOptions extends Pick<CallOptions, "signal" | "onProgress"> {
  /** The recovery point's name. Defaults to the time: `2026-01-31t12.00.00.000z`. */
  readonly name?: string;
  readonly mode?: "auto" | "full";
  readonly consistency?: "group" | "perDisk";
}

/** What became of a VM that was to be backed up. */
export interface VmBackup {
  readonly vm: string;
  readonly point?: RecoveryPoint;
  readonly error?: unknown;
}

/** Options of {@link DatacenterRecovery.restoreDisk}. */
export interface RestoreDiskOptions extends Pick<CallOptions, "signal" | "onProgress"> {
  readonly diskId: string;
  /** A volume of the datacenter that nothing has attached, at least as large. It is overwritten. */
  readonly volume: string;
}

/**
 * Backup in the terms of a datacenter: VMs and volumes by name.
 *
 * @example
 * ```ts
 * const recovery = new DatacenterRecovery(dc, dc.kernel.get(backupRepository));
 * const point = await recovery.backUpVm("web-1");
 * ```
 */
export class DatacenterRecovery {
  readonly repository: Handle<BackupRepository>;
  readonly #datacenter: RecoverableDatacenter;

  constructor(datacenter: RecoverableDatacenter, repository: Handle<BackupRepository>) {
    this.#datacenter = datacenter;
    this.repository = repository;
  }

  /** The subject of a VM's recovery points. It holds the uid: a VM that is made anew under an old name begins its own. */
  async subjectOf(vm: string): Promise<string> {
    const { metadata } = await this.#datacenter.vms.get(vm);
    return subjectOf(metadata);
  }

  /** The disks of a VM, as a recovery point names them. Fails with `FAILED_PRECONDITION` while one has no volume yet. */
  async disksOf(vm: string): Promise<readonly BackupDisk[]> {
    const { status } = await this.#datacenter.vms.get(vm);
    const disks: BackupDisk[] = [];
    for (const { id, volume: name } of status.disks ?? []) {
      const { storage, volumeId } = await this.#volume(name);
      disks.push({ diskId: id, storage, volumeId });
    }
    if (disks.length > 0) return disks;
    throw new VdcError("FAILED_PRECONDITION", `VM '${vm}' has no disks yet`);
  }

  /** Backs up all disks of a VM as of one moment, running or not. */
  async backUpVm(vm: string, options: BackUpOptions = {}): Promise<RecoveryPoint> {
    const { signal, onProgress, name = timeName(), mode, consistency } = options;
    const { metadata } = await this.#datacenter.vms.get(vm);
    return this.repository.createRecoveryPoint(
      {
        name,
        subject: subjectOf(metadata),
        disks: await this.disksOf(vm),
        labels: { vm: metadata.name, vmUid: metadata.uid },
        ...(mode === undefined ? {} : { mode }),
        ...(consistency === undefined ? {} : { consistency }),
      },
      { signal, onProgress },
    );
  }

  /** Backs up all VMs, or those named, one after the other. One that fails does not keep the others from it. */
  async backUpAll(options: BackUpOptions & { readonly vms?: readonly string[] } = {}): Promise<readonly VmBackup[]> {
    const { vms, name = timeName(), ...rest } = options;
    const names = vms ?? (await this.#datacenter.vms.list()).map(({ metadata }) => metadata.name);
    const results: VmBackup[] = [];
    for (const vm of names) {
      options.signal?.throwIfAborted();
      try {
        results.push({ vm, point: await this.backUpVm(vm, { ...rest, name }) });
      } catch (error) {
        results.push({ vm, error });
      }
    }
    return results;
  }

  /** The recovery points of a VM, oldest first; of one that is gone too, by the name that it had. */
  async pointsOf(vm: string, options: Pick<CallOptions, "signal"> = {}): Promise<readonly RecoveryPoint[]> {
    const points: RecoveryPoint[] = [];
    let pageToken: string | undefined;
    do {
      const page = await this.repository.listRecoveryPoints(pageToken === undefined ? {} : { pageToken }, options);
      points.push(...page.items.filter(({ labels }) => labels.vm === vm));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    return points;
  }

  /** Writes a disk of a point into a volume of the datacenter. The volume can be a VM's disk afterwards. */
  async restoreDisk(recoveryPointId: string, options: RestoreDiskOptions): Promise<RestoredDisk> {
    const { diskId, signal, onProgress } = options;
    const { storage, volumeId, status } = await this.#volume(options.volume);
    if (status.attachedTo !== undefined) {
      const { vm } = status.attachedTo;
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${options.volume}' is attached for VM '${vm}': stop it first`,
        {
          blockers: [{ kind: "VirtualMachine", name: vm }],
        },
      );
    }
    const generation = (status.generation ?? 0) + 1;
    const target = { kind: "volume", storage, volumeId, generation } as const;
    const { disks } = await this.repository.restore(
      { recoveryPointId, disks: [{ diskId, target }] },
      { signal, onProgress },
    );
    const [restored] = disks;
    if (restored === undefined) throw new VdcError("INTERNAL", "a restore of one disk returned none");
    return restored;
  }

  /** A volume that is there. Fails with `FAILED_PRECONDITION` while it is not. */
  async #volume(
    name: string,
  ): Promise<{ readonly storage: string; readonly volumeId: string; readonly status: VolumeStatus }> {
    const { spec, status } = await this.#datacenter.volumes.get(name);
    const storage = status.storage ?? spec.storage;
    const { volumeId } = status;
    if (storage !== undefined && volumeId !== undefined) return { storage, volumeId, status };
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is not there yet: wait until it is ready`, {
      blockers: [{ kind: "Volume", name }],
    });
  }
}

function subjectOf({ name, uid }: NamedObject["metadata"]): string {
  return `vm/${name}/${uid}`;
}

function timeName(): string {
  return new Date().toISOString().toLowerCase().replaceAll(":", ".");
}
