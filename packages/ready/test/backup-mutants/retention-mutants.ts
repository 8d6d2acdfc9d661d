import { memoryPeriods } from "../../src/backup/memory-retention.ts";
import { type BackupMutant, mutant } from "./build-mutant.ts";

const dayMs = 86_400_000;

export const retentionMutants: readonly BackupMutant[] = [
  mutant("backup.prune.last", "keeps one fewer", (memory) => ({
    prune: ({ keep, ...input }, context) =>
      memory.prune(keep === undefined ? input : { ...input, keep: { ...keep, last: (keep.last ?? 0) - 1 } }, context),
  })),
  mutant("backup.prune.last", "gives back what is needed still", (memory) => ({
    collect() {
      memory.vault.chunks.clear();
      return 0;
    },
  })),
  mutant("backup.prune.newest-stays", "keeps none when none is to be kept", (memory) => ({
    async prune(input, context) {
      if (input.keep?.last !== 0) return memory.prune(input, context);
      const removed = [...memory.vault.points.keys()];
      memory.vault.points.clear();
      return { removed, kept: 0, freedBytes: 0 };
    },
  })),
  mutant("backup.prune.subject", "prunes all subjects", (memory) => ({
    prune: ({ subject: _, ...input }, context) => memory.prune(input, context),
  })),
  mutant("backup.prune.calendar", "has weeks that begin on Sundays", () => ({
    periods: { ...memoryPeriods, weekly: (moment) => Math.floor((Math.floor(moment / dayMs) + 4) / 7) },
  })),
  mutant("backup.prune.calendar", "has months of 30 days", () => ({
    periods: { ...memoryPeriods, monthly: (moment) => Math.floor(moment / (30 * dayMs)) },
  })),
  mutant("backup.prune.calendar", "has days that begin an hour late", () => ({
    periods: { ...memoryPeriods, daily: (moment) => Math.floor((moment - 3_600_000) / dayMs) },
  })),
  mutant("backup.prune.no-policy", "has a policy of its own", (memory) => ({
    prune: ({ keep = { last: 1 }, ...input }, context) => memory.prune({ ...input, keep }, context),
  })),
  mutant("backup.prune.dry-run", "does what it would do", (memory) => ({
    prune: async ({ dryRun: _, ...input }, context) => ({ ...(await memory.prune(input, context)), freedBytes: 0 }),
  })),
  mutant("backup.prune.frees", "gives nothing back", () => ({ collect: () => 0 })),
  mutant("backup.prune.frees", "does not say what it gave back", (memory) => ({
    prune: async (input, context) => ({ ...(await memory.prune(input, context)), freedBytes: 0 }),
  })),
  mutant("backup.prune.working", "takes what a run builds on", (memory) => ({
    collect() {
      memory.vault.runs.clear();
      const { chunks } = memory.vault;
      const before = chunks.size;
      memory.collect();
      return before - chunks.size;
    },
  })),
];
