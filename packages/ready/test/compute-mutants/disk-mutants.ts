import { forgiving } from "../build-mutant.ts";
import { type ComputeMutant, forgetful, mover, mutant } from "./build-mutant.ts";

/** What breaks moving and copying disks. */
export const diskMutants: readonly ComputeMutant[] = [
  mover("compute.migration.moves", "forgets to put the target into the spec", (facet, memory) => ({
    async completeDiskMigration(input, context) {
      const found = memory.host.vms.get(input.vmId);
      const spec = found?.vm.spec;
      const done = await facet.completeDiskMigration(input, context);
      if (found !== undefined && spec !== undefined) found.vm = { ...found.vm, spec };
      return done;
    },
  })),
  mover("compute.migration.idempotent", "gives up one migration for another", (facet, memory) => ({
    async startDiskMigration(input, context) {
      const key = `${input.vmId}/${input.diskId}`;
      if (memory.host.migrations.get(key)?.migrationId !== input.migrationId) memory.host.migrations.delete(key);
      return facet.startDiskMigration(input, context);
    },
  })),
  mover("compute.migration.cancel", "forgets what was cancelled", (facet, memory) => ({
    async cancelDiskMigration(input, context) {
      await facet.cancelDiskMigration(input, context);
      memory.host.migrations.delete(`${input.vmId}/${input.diskId}`);
    },
  })),
  mover("compute.migration.done", "says that it has cancelled what is done", (facet) => ({
    cancelDiskMigration: (input, context) => forgiving(facet.cancelDiskMigration(input, context), () => undefined),
  })),
  mover("compute.migration.fenced", "moves disks for anybody", (facet, memory) => ({
    startDiskMigration: (input, context) =>
      facet.startDiskMigration({ ...input, generation: memory.host.vms.get(input.vmId)?.highest ?? 1 }, context),
  })),
  mover("compute.migration.ends", "is ready although the VM has ended", (facet, memory) => ({
    async startDiskMigration(input, context) {
      const found = memory.host.migrations.get(`${input.vmId}/${input.diskId}`);
      return found?.migrationId === input.migrationId ? found : facet.startDiskMigration(input, context);
    },
  })),
  forgetful("compute.migration.reopen", "forgets migrations", ({ host }) => host.migrations.clear()),
  mutant("compute.copy.copies", "leaves out what is zero", (memory) => ({
    facets: {
      ...memory.facets,
      diskCopy: {
        async copyDisk({ source, target }) {
          const { volumes } = memory.host;
          const into = volumes.get(JSON.stringify(target));
          volumes.get(JSON.stringify(source))?.forEach((byte, at) => {
            if (into !== undefined && byte !== 0) into[at] = byte;
          });
        },
      },
    },
  })),
];
