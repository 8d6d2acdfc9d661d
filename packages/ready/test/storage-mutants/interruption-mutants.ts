import { VdcError } from "@vdc-os/core";
import { context, facetMutant, mutant, type StorageMutant } from "./build-mutant.ts";

const late = (): VdcError => new VdcError("DEADLINE_EXCEEDED", "too late");

/** What callers that come too late, that give up, and that come again and again break. */
export const interruptionMutants: readonly StorageMutant[] = [
  mutant("storage.deadline.passed", "deletes for who comes too late", (store) => ({
    async deleteVolume(input, call) {
      await store.deleteVolume(input, context);
      if (call.signal.aborted) throw late();
    },
  })),
  mutant("storage.deadline.passed", "has seen the generation of who comes too late", (store) => ({
    async revokeAttachment(input, call) {
      const { attachment } = store.get(input.volumeId);
      await store.revokeAttachment(input, context);
      if (!call.signal.aborted) return;
      store.get(input.volumeId).attachment = attachment;
      throw late();
    },
  })),
  facetMutant("storage.deadline.snapshot", "takes a snapshot for who comes too late", "snapshots", (snapshots) => ({
    async createSnapshot(input, call) {
      const taken = await snapshots.createSnapshot(input, context);
      if (call.signal.aborted) throw late();
      return taken;
    },
  })),
  facetMutant(
    "storage.snapshots.cancel",
    "takes it under another name when it is given up",
    "snapshots",
    (snapshots) => ({
      async createSnapshot(input, call) {
        await undefined;
        if (!call.signal.aborted) return snapshots.createSnapshot(input, context);
        await snapshots.createSnapshot({ ...input, name: `${input.name}-half` }, context);
        throw new VdcError("CANCELLED", "given up");
      },
    }),
  ),
  mutant("storage.get.bounded-memory", "remembers what it has told", (store) => {
    const told: Uint8Array[] = [];
    return {
      async getVolume(input) {
        told.push(new Uint8Array(16_384));
        return store.getVolume(input);
      },
    };
  }),
];
