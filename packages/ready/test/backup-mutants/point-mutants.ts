import { createOperationContext } from "@vdc-os/core";
import type { RecoveryPoint, RecoveryPointDisk } from "@vdc-os/core/backup/v1";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import type { BackupStorage } from "../../src/backup/backup-instance.ts";
import type { MemoryBackupRepository } from "../../src/backup/memory-backup-repository.ts";
import { pointsOf } from "../../src/backup/memory-vault.ts";
import { memoryBlockBytes, readBlock } from "../../src/storage/memory-pool.ts";
import type { MemoryStorageProvider } from "../../src/storage/memory-storage-provider.ts";
import { forgiving, withChanges } from "../build-mutant.ts";
import { type BackupMutant, mutant } from "./build-mutant.ts";

const context = createOperationContext();

/** A mutant that tells something else of each disk of a new point. */
function disksMutant(
  breaks: string,
  how: string,
  change: (disk: RecoveryPointDisk) => RecoveryPointDisk,
): BackupMutant {
  return mutant(breaks, how, (memory) => ({
    async createRecoveryPoint(input, call) {
      const point = await memory.createRecoveryPoint(input, call);
      return { ...point, disks: point.disks.map(change) };
    },
  }));
}

/** A mutant that reaches storage in another way. */
function storageMutant(breaks: string, how: string, change: (storage: BackupStorage) => BackupStorage): BackupMutant {
  return mutant(breaks, how, (memory) => ({ storage: (name) => change(memory.storage(name)) }));
}

const byName = ({ vault }: MemoryBackupRepository, name: string, subject?: string): RecoveryPoint | undefined =>
  pointsOf(vault, subject).find(({ point }) => point.name === name)?.point;

const sizes = new Map<string, number>();

export const pointMutants: readonly BackupMutant[] = [
  mutant("backup.describe.repository", "has another id each time", (memory) => {
    let count = 0;
    return {
      describe: async () => ({ ...(await memory.describe()), attributes: { repositoryId: `vault-${++count}` } }),
    };
  }),
  mutant("backup.create.point", "keeps no labels", (memory) => ({
    createRecoveryPoint: ({ labels: _, ...input }, call) => memory.createRecoveryPoint(input, call),
  })),
  mutant("backup.create.idempotent", "makes the point anew", (memory) => ({
    createRecoveryPoint(input, call) {
      const present = byName(memory, input.name, input.subject);
      if (present !== undefined) memory.vault.points.delete(present.recoveryPointId);
      return memory.createRecoveryPoint(input, call);
    },
  })),
  mutant("backup.create.name-per-subject", "has each name once", (memory) => ({
    createRecoveryPoint: async (input, call) =>
      byName(memory, input.name) ?? (await memory.createRecoveryPoint(input, call)),
  })),
  mutant("backup.create.conflict", "does not look at the disks of a point that is there", (memory) => ({
    createRecoveryPoint: async (input, call) =>
      byName(memory, input.name, input.subject) ?? (await memory.createRecoveryPoint(input, call)),
  })),
  mutant("backup.create.in-use", "takes the disk away from its owner", (memory) => ({
    async createRecoveryPoint(input, call) {
      for (const { storage, volumeId } of input.disks) {
        await memory.storage(storage).provider.revokeAttachment({ volumeId, generation: 1 }, call);
      }
      return memory.createRecoveryPoint(input, call);
    },
  })),
  mutant("backup.create.full", "does not heed the mode", (memory) => ({
    createRecoveryPoint: ({ mode: _, ...input }, call) => memory.createRecoveryPoint(input, call),
  })),
  disksMutant("backup.create.incremental", "does not say why it reads everything", ({ because: _, ...disk }) => disk),
  disksMutant("backup.create.incremental", "says that it reads by changes, and reads everything", (disk) => ({
    ...disk,
    reading: "changed",
  })),
  disksMutant("backup.create.incremental", "counts what it has already as new", (disk) => ({
    ...disk,
    newBytes: disk.readBytes,
  })),
  disksMutant("backup.create.zeroes", "counts zeroes as data", (disk) => ({ ...disk, dataBytes: disk.capacityBytes })),
  disksMutant("backup.create.resized", "remembers the first size of a volume", (disk) => {
    // Ids are the same in each instance, and so are the sizes of this requirement's disk.
    const capacityBytes = Math.min(sizes.get(disk.volumeId) ?? disk.capacityBytes, disk.capacityBytes);
    sizes.set(disk.volumeId, capacityBytes);
    return { ...disk, capacityBytes };
  }),
  mutant("backup.create.unknown-disk", "leaves a run that can't be", () => ({ release: async () => {} })),
  mutant("backup.create.concurrent", "lets runs of a subject undo each other", () => ({ alone: (_, run) => run() })),
  mutant("backup.create.concurrent", "works on one subject at a time", (memory) => ({
    alone: (_, run) => memory.alone("everything", run),
  })),
  mutant("backup.create.hostile-names", "does not tell upper from lower case", (memory) => ({
    createRecoveryPoint: (input, call) =>
      memory.createRecoveryPoint({ ...input, subject: input.subject.toLowerCase() }, call),
  })),
  mutant("backup.create.hostile-names", "takes a subject for the beginning of one", (memory) => ({
    async listRecoveryPoints({ subject, ...request }) {
      const page = await memory.listRecoveryPoints(request);
      return { ...page, items: page.items.filter((point) => point.subject.startsWith(subject ?? "")) };
    },
  })),
  mutant("backup.create.own-traces", "sweeps whatever snapshots there are", (memory) => ({
    async sweep() {
      const { snapshots } = memory.storage("pool").provider.facets ?? {};
      for (const { snapshotId } of (await snapshots?.listSnapshots({}, context))?.items ?? []) {
        await snapshots?.deleteSnapshot({ snapshotId }, context);
      }
      return { runs: 0, volumes: 0 };
    },
  })),
  storageMutant("backup.moment.one-disk", "reads the volume as it is now", (storage) => ({
    ...storage,
    async openTransport(transport) {
      const client = await storage.openTransport(transport);
      const { pool } = storage.provider as MemoryStorageProvider;
      const [id = ""] = transport.kind === "nbd-unix" ? transport.exportName.split("/") : [];
      const volume = pool.volumes.get(pool.snapshots.get(id)?.volumeId ?? "");
      if (volume === undefined) return client;
      return {
        ...client,
        async read(offset, length) {
          const data = new Uint8Array(length);
          for (let at = 0; at < length; at += memoryBlockBytes) {
            data.set(readBlock(pool, volume, (offset + at) / memoryBlockBytes), at);
          }
          return data;
        },
      };
    },
  })),
  mutant("backup.moment.group", "takes one disk after the other, and says that they are of one moment", (memory) => ({
    async createRecoveryPoint(input, call) {
      const point = await memory.createRecoveryPoint({ ...input, consistency: "perDisk" }, call);
      return { ...point, consistency: "group" };
    },
    storage(name) {
      const storage = memory.storage(name);
      const real = storage.provider as MemoryStorageProvider;
      const { groupSnapshots: _, ...facets } = real.facets;
      const createSnapshot: typeof facets.snapshots.createSnapshot = async (input, call) => {
        for (let n = 0; n < 10; n++) await memory.step(call);
        return facets.snapshots.createSnapshot(input, call);
      };
      const changed = { ...facets, snapshots: { ...facets.snapshots, createSnapshot } };
      return { ...storage, provider: withChanges<StorageProvider>(real, { facets: changed }) };
    },
  })),
  mutant("backup.moment.not-of-one", "takes disks one by one without being asked to", (memory) => ({
    createRecoveryPoint: (input, call) => memory.createRecoveryPoint({ ...input, consistency: "perDisk" }, call),
  })),
  mutant("backup.moment.needs-generation", "makes generations up", (memory) => ({
    createRecoveryPoint: (input, call) =>
      memory.createRecoveryPoint(
        { ...input, disks: input.disks.map((disk) => ({ ...disk, generation: disk.generation ?? 2 })) },
        call,
      ),
  })),
  mutant("backup.list.paged", "lists the newest first", (memory) => ({
    async listRecoveryPoints(input) {
      const page = await memory.listRecoveryPoints(input);
      return { ...page, items: page.items.toReversed() };
    },
  })),
  mutant("backup.list.paged", "has no second page", (memory) => ({
    listRecoveryPoints: async (input) => ({ items: (await memory.listRecoveryPoints(input)).items }),
  })),
  mutant("backup.list.subject", "lists all subjects", (memory) => ({
    listRecoveryPoints: ({ subject: _, ...request }) => memory.listRecoveryPoints(request),
  })),
  mutant("backup.list.token", "begins again by itself", (memory) => ({
    listRecoveryPoints: (input) => forgiving(memory.listRecoveryPoints(input), () => memory.listRecoveryPoints({})),
  })),
  mutant("backup.get.unknown", "verifies what is not there", (memory) => ({
    verify: (input, call) =>
      forgiving(memory.verify(input, call), () => ({ recoveryPoints: 0, chunks: 0, bytes: 0, damages: [] })),
  })),
  mutant("backup.delete.removes", "hides a point from the list, and nothing else", (memory) => {
    const hidden = new Set<string>();
    return {
      deleteRecoveryPoint: async ({ recoveryPointId }) => void hidden.add(recoveryPointId),
      async listRecoveryPoints(input) {
        const page = await memory.listRecoveryPoints(input);
        return { ...page, items: page.items.filter(({ recoveryPointId }) => !hidden.has(recoveryPointId)) };
      },
    };
  }),
  mutant("backup.delete.absent", "deletes the newest for one that it does not have", (memory) => ({
    deleteRecoveryPoint({ recoveryPointId }, context) {
      const isThere = memory.vault.points.has(recoveryPointId);
      const id = isThere ? recoveryPointId : pointsOf(memory.vault).at(-1)?.point.recoveryPointId;
      return memory.deleteRecoveryPoint({ recoveryPointId: id ?? recoveryPointId }, context);
    },
  })),
  mutant("backup.delete.independent", "deletes what other points need", (memory) => ({
    deleteRecoveryPoint({ recoveryPointId }, context) {
      const { chunks, points } = memory.vault;
      for (const hash of points.get(recoveryPointId)?.contents.flat() ?? []) chunks.delete(hash);
      return memory.deleteRecoveryPoint({ recoveryPointId }, context);
    },
  })),
  mutant("backup.status.counts", "counts what is shared once", (memory) => ({
    async status() {
      const status = await memory.status();
      return { ...status, dataBytes: status.storedBytes };
    },
  })),
];
