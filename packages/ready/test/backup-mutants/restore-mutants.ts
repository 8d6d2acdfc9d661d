import { VdcError } from "@vdc-os/core";
import type { RestoreTarget } from "@vdc-os/core/backup/v1";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import type { BackupStorage } from "../../src/backup/backup-instance.ts";
import { forgiving, withChanges } from "../build-mutant.ts";
import { type BackupMutant, mutant } from "./build-mutant.ts";

/** A mutant that calls the storage provider in another way. */
function providerMutant(
  breaks: string,
  how: string,
  change: (provider: StorageProvider) => Partial<StorageProvider>,
): BackupMutant {
  return storageMutant(breaks, how, (storage) => ({
    ...storage,
    provider: withChanges(storage.provider, change(storage.provider)),
  }));
}

function storageMutant(breaks: string, how: string, change: (storage: BackupStorage) => BackupStorage): BackupMutant {
  return mutant(breaks, how, (memory) => ({ storage: (name) => change(memory.storage(name)) }));
}

/** A mutant that restores into another target. */
function targetMutant(breaks: string, how: string, change: (target: RestoreTarget) => RestoreTarget): BackupMutant {
  return mutant(breaks, how, (memory) => ({
    restore: (input, call) =>
      memory.restore(
        { ...input, disks: input.disks.map(({ diskId, target }) => ({ diskId, target: change(target) })) },
        call,
      ),
  }));
}

export const restoreMutants: readonly BackupMutant[] = [
  providerMutant("backup.restore.new", "keeps the volume attached", () => ({ detachVolume: async () => {} })),
  mutant("backup.restore.sizes", "loses what is no whole chunk", (memory) => ({
    chunk(hash) {
      const chunk = memory.chunk(hash);
      return chunk.length < 65_536 ? new Uint8Array(chunk.length) : chunk;
    },
  })),
  storageMutant("backup.restore.volume", "leaves zeroes out, whatever the volume held", (storage) => ({
    ...storage,
    async openTransport(transport) {
      const client = await storage.openTransport(transport);
      const write: typeof client.write = async (offset, data) => {
        if (data.some((byte) => byte !== 0)) await client.write(offset, data);
      };
      return { ...client, write };
    },
  })),
  targetMutant("backup.restore.volume", "takes another generation", (target) =>
    target.kind === "volume" ? { ...target, generation: 3 } : target,
  ),
  mutant("backup.restore.larger", "wants a volume of the same size", (memory) => ({
    async restore(input, call) {
      for (const { diskId, target } of input.disks) {
        if (target.kind === "new") continue;
        const { volumeId } = target;
        const { capacityBytes } = await memory.storage(target.storage).provider.getVolume({ volumeId }, call);
        const { disks } = memory.get(input.recoveryPointId).point;
        if (disks.some((disk) => disk.diskId === diskId && disk.capacityBytes === capacityBytes)) continue;
        throw new VdcError("OUT_OF_RANGE", "it has another size");
      }
      return memory.restore(input, call);
    },
  })),
  providerMutant("backup.restore.smaller", "writes until the volume is full", (provider) => ({
    async getVolume(input, call) {
      const volume = await provider.getVolume(input, call);
      return volume.name === "target" ? { ...volume, capacityBytes: 2 ** 40 } : volume;
    },
  })),
  providerMutant("backup.restore.attached", "takes a volume away from its owner", () => ({
    getAttachment: async () => ({}),
  })),
  mutant("backup.restore.fenced", "finds a generation by itself that works", (memory) => ({
    restore: (input, call) =>
      forgiving(memory.restore(input, call), () =>
        memory.restore(
          {
            ...input,
            disks: input.disks.map(({ diskId, target }) => ({
              diskId,
              target: target.kind === "volume" ? { ...target, generation: 7.5 } : target,
            })),
          },
          call,
        ),
      ),
  })),
  providerMutant("backup.restore.taken-name", "writes into a volume that has the name", (provider) => ({
    listVolumes: async (input, call) => (input.name === undefined ? provider.listVolumes(input, call) : { items: [] }),
  })),
  mutant("backup.restore.repeated", "forgets what it has restored", (memory) => ({
    restore(input, call) {
      memory.vault.restores.clear();
      return memory.restore(input, call);
    },
  })),
  mutant("backup.restore.some", "has an order of its own", (memory) => ({
    restore: (input, call) => memory.restore({ ...input, disks: input.disks.toReversed() }, call),
  })),
  mutant("backup.restore.some", "restores the first disk only", (memory) => ({
    restore: (input, call) =>
      memory.restore({ ...input, disks: input.disks.map(({ target }) => ({ diskId: "disk0", target })) }, call),
  })),
  targetMutant("backup.restore.other-storage", "restores to where a disk came from", (target) => ({
    ...target,
    storage: "pool",
  })),
  mutant("backup.restore.source-gone", "needs the disk that was backed up", (memory) => ({
    async restore(input, call) {
      for (const { storage, volumeId } of memory.get(input.recoveryPointId).point.disks) {
        await memory.storage(storage).provider.getVolume({ volumeId }, call);
      }
      return memory.restore(input, call);
    },
  })),
  mutant("backup.restore.unknown-target", "restores what is there, and is silent about the rest", (memory) => ({
    restore: (input, call) => forgiving(memory.restore(input, call), () => ({ disks: [] })),
  })),
  mutant("backup.verify.well", "verifies all when it is asked for one", (memory) => ({
    verify: (_, call) => memory.verify({}, call),
  })),
  mutant("backup.verify.well", "reads nothing", (memory) => ({
    verify: async (input, call) => ({ ...(await memory.verify(input, call)), chunks: 0, bytes: 0 }),
  })),
  mutant("backup.verify.damage", "believes what it reads", () => ({ isWell: () => true })),
  mutant("backup.verify.damage", "finds damage, and blames every point", (memory) => ({
    async verify(input, call) {
      const report = await memory.verify(input, call);
      const ids = [...memory.vault.points.keys()];
      const damages = report.damages.flatMap((damage) =>
        ids.map((recoveryPointId) => ({ ...damage, recoveryPointId })),
      );
      return { ...report, damages: damages.slice(0, 100) };
    },
  })),
  mutant("backup.verify.never-wrong", "restores what is damaged", () => ({ isWell: () => true })),
  mutant("backup.verify.never-wrong", "leaves half a volume", () => ({ takeBack: async () => {} })),
];
