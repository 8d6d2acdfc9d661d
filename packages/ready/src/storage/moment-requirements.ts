import type { CloneResult } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  blockerNames,
  blockOf,
  create,
  limitsOf,
  mustHold,
  mustRead,
  namesOf,
  type StorageRequirement,
  type StorageTest,
  snapshotOf,
  takesSource,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

function linkedCloneOf(test: StorageTest, name: string, volumeId: string): Promise<CloneResult> {
  return test
    .facet("clones")
    .cloneVolume({ name, source: { kind: "volume", volumeId }, want: "linked" }, test.operation());
}

function makesLinked(test: StorageTest): boolean {
  const { kinds } = limitsOf(test, "clones");
  return Array.isArray(kinds) && kinds.includes("linked");
}

/** Facet `clones`: clones of a moment, be it a snapshot or that of the call. */
export const momentRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.clones.online",
    title:
      "a linked clone of a volume that is being written holds what was acknowledged, and the volume goes on; or it is refused, and the volume goes on",
    clause:
      "cloneVolume: One that is attached for writing fails with `FAILED_PRECONDITION` unless `online` is true: then the clone is crash-consistent, as a snapshot, and the volume stays writable.",
    level: "extended",
    facet: "clones",
    async run(test) {
      // What shares no blocks with its source need not come of a moment.
      if (!makesLinked(test)) return;
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 9: 1 });
      const online = limitsOf(test, "clones").online === true;
      const ids: string[] = [];
      await whileWritten(test, volumeId, 2, async (client) => {
        for (const value of [2, 3]) {
          await client.write(0, blockOf(value));
          const call = linkedCloneOf(test, `clone-${value}`, volumeId);
          if (online) ids.push((await call).volume.volumeId);
          else await mustReject(call, "FAILED_PRECONDITION", "a clone of a volume that is written, without `online`");
          await client.write(0, blockOf(value + 10));
          await client.write((20 + value) * 4096, blockOf(value));
        }
        await client.flush();
        await mustRead(client, { 0: 13, 9: 1, 22: 2, 23: 3 });
      });
      if (!online) return;
      const [first = "", second = ""] = ids;
      await mustHold(test, first, 1, { 0: 2, 9: 1, 22: 0, 23: 0 });
      await writeBlocks(test, second, 1, { 9: 7 });
      await mustHold(test, second, 2, { 0: 3, 9: 7, 22: 2, 23: 0 });
      await writeBlocks(test, volumeId, 3, { 9: 8 });
      await mustHold(test, first, 2, { 0: 2, 9: 1 });
      if (test.description.facets.snapshots?.status === "available") {
        const { items } = await test.facet("snapshots").listSnapshots({}, test.operation());
        mustEqual(items, [], "the snapshots that are shown after clones of a volume that is written");
      }
      await test.provider.deleteVolume({ volumeId }, test.operation());
      await mustHold(test, first, 3, { 0: 2, 9: 1 });
      for (const id of ids) await test.provider.deleteVolume({ volumeId: id }, test.operation());
      mustEqual(await namesOf(test), [], "the names after all were deleted");
      const { provisionedBytes } = await test.provider.capacity({}, test.operation());
      mustEqual(provisionedBytes, 0, "what is promised when the family is gone");
    },
  },
  {
    id: "storage.clones.snapshot-deleted",
    title:
      "a snapshot that a linked clone reads is not deleted, and the error names it; or its name is free, and the clone reads on",
    clause:
      "deleteSnapshot: So may one that has linked clones [fail]; or it is kept for them: its name is free, nobody sees it, and it goes with the last of them.",
    level: "extended",
    facet: "clones",
    async run(test) {
      if (test.description.facets.snapshots?.status !== "available") return;
      if (!makesLinked(test) || !takesSource(test, "clones", "snapshot")) return;
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      const source = { kind: "snapshot", snapshotId } as const;
      const clone = (
        await test.facet("clones").cloneVolume({ name: "clone", source, want: "linked" }, test.operation())
      ).volume;
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      const facet = test.facet("snapshots");
      const remove = (): Promise<void> => facet.deleteSnapshot({ snapshotId }, test.operation());
      let refused: Error | undefined;
      await remove().catch(async (error: Error) => {
        refused = error;
        await mustReject(Promise.reject(error), "FAILED_PRECONDITION", "deleting a snapshot that has a linked clone");
      });
      await mustHold(test, clone.volumeId, 1, { 0: 1 });
      if (refused !== undefined) {
        const names = blockerNames(refused);
        must(names.includes("clone"), `the error must name 'clone' as a blocker, and names '${names.join("', '")}'`);
        await facet.getSnapshot({ snapshotId }, test.operation());
      } else {
        const call = facet.getSnapshot({ snapshotId }, test.operation());
        await mustReject(call, "NOT_FOUND", "get of a deleted snapshot");
        const again = await snapshotOf(test, "kept", volumeId);
        must(again.snapshotId !== snapshotId, "the name of a deleted snapshot must lead to another");
        await facet.deleteSnapshot({ snapshotId: again.snapshotId }, test.operation());
      }
      await test.provider.deleteVolume({ volumeId: clone.volumeId }, test.operation());
      if (refused !== undefined) await remove();
      await test.provider.deleteVolume({ volumeId }, test.operation());
      const { provisionedBytes } = await test.provider.capacity({}, test.operation());
      mustEqual(provisionedBytes, 0, "what is promised when all is gone");
    },
  },
];
