import { createOperationContext, type OperationContext } from "@vdc-os/core";
import { type BackupMutant, mutant, restartMutant } from "./build-mutant.ts";

/** A call whose caller hears nothing. */
const quiet = ({ signal }: OperationContext): OperationContext => createOperationContext({ signal });

/** A call that can't be cancelled. */
const deaf = (context: OperationContext): OperationContext =>
  createOperationContext({ onProgress: (update) => context.progress(update) });

export const interruptionMutants: readonly BackupMutant[] = [
  mutant("backup.progress.reported", "works in silence", (memory) => ({
    restore: (input, context) => memory.restore(input, quiet(context)),
  })),
  mutant("backup.progress.reported", "says percent for fractions", (memory) => ({
    createRecoveryPoint: (input, context) =>
      memory.createRecoveryPoint(
        input,
        createOperationContext({
          signal: context.signal,
          onProgress: ({ fraction = 0 }) => context.progress({ fraction: fraction * 100 }),
        }),
      ),
  })),
  mutant("backup.cancel.before", "does not look at the signal", (memory) => ({
    createRecoveryPoint: (input, context) => memory.createRecoveryPoint(input, deaf(context)),
  })),
  mutant("backup.cancel.create", "leaves its snapshot", (memory) => ({
    release: async ({ input }) => void memory.vault.runs.delete(input.subject),
  })),
  mutant("backup.cancel.restore", "leaves half a volume", () => ({ takeBack: async () => {} })),
  restartMutant("backup.resume.create", "goes on with the disk as it is by then", ({ vault }) => {
    for (const run of vault.runs.values()) {
      Object.assign(run, { attempt: `${run.attempt}-again`, createdAt: undefined, snapshotIds: [] });
    }
  }),
  restartMutant("backup.resume.create", "forgets its runs", ({ vault }) => vault.runs.clear()),
  restartMutant("backup.resume.other", "takes a run that was killed for one that works", ({ busy, vault }) => {
    for (const subject of vault.runs.keys()) busy.add(`run ${subject}`);
  }),
  restartMutant("backup.resume.restore", "forgets its restores", ({ vault }) => vault.restores.clear()),
  mutant("backup.sweep.run", "sweeps its records, and not the snapshots", (memory) => ({
    release: async ({ input }) => void memory.vault.runs.delete(input.subject),
  })),
  mutant("backup.sweep.run", "has nothing to sweep", () => ({ sweep: async () => ({ runs: 0, volumes: 0 }) })),
  mutant("backup.sweep.restore", "sweeps its records, and not the volumes", (memory) => ({
    async takeBack(record) {
      for (const [key, each] of memory.vault.restores) if (each === record) memory.vault.restores.delete(key);
    },
  })),
  mutant("backup.sweep.restore", "sweeps what was restored wholly", (memory) => ({
    sweep(input, context) {
      for (const record of memory.vault.restores.values()) record.done = undefined;
      return memory.sweep(input, context);
    },
  })),
  restartMutant("backup.durable.restart", "keeps points in the process", ({ vault }) => vault.points.clear()),
];
