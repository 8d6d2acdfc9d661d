import { createOperationContext, VdcError } from "@vdc-os/core";
import { type BackupMutant, mutant } from "./build-mutant.ts";

const late = (): VdcError => new VdcError("DEADLINE_EXCEEDED", "too late");

/** What callers break that come too late, give up, ask for strange things, or ask again and again. */
export const callerMutants: readonly BackupMutant[] = [
  mutant("backup.deadline.passed", "deletes for who comes too late", (memory) => ({
    async deleteRecoveryPoint(input, context) {
      await memory.deleteRecoveryPoint(input, createOperationContext());
      if (context.signal.aborted) throw late();
    },
  })),
  mutant("backup.deadline.passed", "prunes for who comes too late", (memory) => ({
    async prune(input, context) {
      const report = await memory.prune(input, createOperationContext());
      if (context.signal.aborted) throw late();
      return report;
    },
  })),
  mutant("backup.cancel.steps", "makes a point of another name when it is given up", (memory) => ({
    async createRecoveryPoint(input, context) {
      await undefined;
      if (!context.signal.aborted) return memory.createRecoveryPoint(input, context);
      await memory.createRecoveryPoint({ ...input, name: `${input.name}-half` }, createOperationContext());
      throw new VdcError("CANCELLED", "given up");
    },
  })),
  mutant("backup.hostile.ids", "takes an id for a way to the points", (memory) => ({
    async deleteRecoveryPoint(input, context) {
      if (input.recoveryPointId === "..") memory.vault.points.clear();
      return memory.deleteRecoveryPoint(input, context);
    },
  })),
  mutant("backup.list.bounded-memory", "remembers what it has told", (memory) => {
    const told: Uint8Array[] = [];
    return {
      async status() {
        told.push(new Uint8Array(16_384));
        return memory.status();
      },
    };
  }),
];
