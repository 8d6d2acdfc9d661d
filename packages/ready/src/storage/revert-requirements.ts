import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockerNames,
  create,
  detach,
  limitsOf,
  mib,
  mustHold,
  mustHoldInSnapshot,
  readSnapshot,
  type StorageRequirement,
  type StorageTest,
  snapshotOf,
  takesSource,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";
import { stampOf } from "./volume-requirements.ts";

async function reverts(test: StorageTest, volumeId: string, snapshotId: string): Promise<boolean> {
  if (limitsOf(test, "snapshots").revert !== false) return true;
  const call = test.facet("snapshots").revertToSnapshot({ volumeId, snapshotId }, test.operation());
  await mustReject(call, "UNIMPLEMENTED", "a revert of a provider that says it can't");
  return false;
}

/** Reverting to snapshots, listing them, and making volumes of them. */
export const revertRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.snapshots.revert",
    title:
      "after a revert the volume holds what the snapshot holds, in its size, and can be written; the snapshot stays",
    clause: "revertToSnapshot: Makes the volume's content and size those of the snapshot.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 1023: 1 });
      const snapshot = await snapshotOf(test, "kept", volumeId);
      const { snapshotId } = snapshot;
      if (!(await reverts(test, volumeId, snapshotId))) return;
      await writeBlocks(test, volumeId, 2, { 0: 2, 9: 2 });
      const resizes = test.description.facets.resize?.status === "available";
      if (resizes) {
        await test.facet("resize").resizeVolume({ volumeId, capacityBytes: 8 * mib }, test.operation());
        await writeBlocks(test, volumeId, 3, { 2000: 3 });
      }
      for (const generation of [4, 6]) {
        await test.facet("snapshots").revertToSnapshot({ volumeId, snapshotId }, test.operation());
        const { capacityBytes } = await test.provider.getVolume({ volumeId }, test.operation());
        mustEqual(capacityBytes, snapshot.capacityBytes, "the size after a revert");
        await mustHold(test, volumeId, generation, { 0: 1, 9: 0, 1023: 1 });
        await writeBlocks(test, volumeId, generation + 1, { 0: 4 });
      }
      await mustHoldInSnapshot(test, snapshot, { 0: 1, 9: 0, 1023: 1 });
    },
  },
  {
    id: "storage.snapshots.revert-blockers",
    title: "what prevents a revert is told before, is why it fails, and is all that prevents it",
    clause: "revertBlockers: What prevents a revert now. Empty when nothing does.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const other = await create(test, "other");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      if (!(await reverts(test, volumeId, snapshotId))) return;
      const facet = test.facet("snapshots");
      const revert = { volumeId, snapshotId };
      const attachment = await attach(test, volumeId, 2);
      const told = (await facet.revertBlockers(revert, test.operation())).map(({ name }) => name);
      must(
        told.includes(attachment.host),
        `host '${attachment.host}' must be told, and told is '${told.join("', '")}'`,
      );
      const call = facet.revertToSnapshot(revert, test.operation());
      const names = blockerNames(await mustReject(call, "FAILED_PRECONDITION", "a revert of an attached volume"));
      must(names.includes(attachment.host), "the error must name the host as a blocker");
      await detach(test, attachment);
      mustEqual(await facet.revertBlockers(revert, test.operation()), [], "the blockers after the detach");
      await facet.revertToSnapshot(revert, test.operation());
      const foreign = { volumeId: other.volumeId, snapshotId };
      await mustReject(
        facet.revertToSnapshot(foreign, test.operation()),
        "NOT_FOUND",
        "a revert to another volume's snapshot",
      );
      await mustReject(facet.revertBlockers(foreign, test.operation()), "NOT_FOUND", "the blockers of the same");
    },
  },
  {
    id: "storage.snapshots.later",
    title: "a revert leaves later snapshots as they are, or is refused because of them",
    clause:
      "revertToSnapshot: with `restoreOnlyLatest`, later snapshots [make it fail]. Otherwise later snapshots stay.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const first = await snapshotOf(test, "first", volumeId);
      if (!(await reverts(test, volumeId, first.snapshotId))) return;
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      const later = await snapshotOf(test, "later", volumeId);
      const call = test
        .facet("snapshots")
        .revertToSnapshot({ volumeId, snapshotId: first.snapshotId }, test.operation());
      if (limitsOf(test, "snapshots").restoreOnlyLatest === true) {
        const names = blockerNames(await mustReject(call, "FAILED_PRECONDITION", "a revert past a later snapshot"));
        must(names.includes("later"), "the error must name the later snapshot as a blocker");
        await mustHold(test, volumeId, 3, { 0: 2 });
        return;
      }
      await call;
      await mustHold(test, volumeId, 3, { 0: 1 });
      await mustHoldInSnapshot(test, later, { 0: 2 });
      await test.facet("snapshots").revertToSnapshot({ volumeId, snapshotId: later.snapshotId }, test.operation());
      await mustHold(test, volumeId, 4, { 0: 2 });
    },
  },
  {
    id: "storage.snapshots.list",
    title: "snapshots are listed by page, in order of name, of one volume, one name or one datacenter",
    clause:
      "listSnapshots: In order of name. With `ownerDatacenter`, those that this datacenter stamped. With `name`, the one of that name.",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const one = await create(test, "one");
      const two = await create(test, "two");
      const facet = test.facet("snapshots");
      for (const name of ["c", "a-10", "a-2"]) await snapshotOf(test, name, one.volumeId, { owner: stampOf("dc-1") });
      await snapshotOf(test, "b", two.volumeId, { owner: stampOf("dc-2") });
      const list = async (input: object): Promise<readonly string[]> => {
        const names: string[] = [];
        let pageToken: string | undefined;
        do {
          const page: Awaited<ReturnType<typeof facet.listSnapshots>> = await facet.listSnapshots(
            { ...input, ...(pageToken === undefined ? {} : { pageToken }) },
            test.operation(),
          );
          names.push(...page.items.map(({ name }) => name));
          pageToken = page.nextPageToken;
        } while (pageToken !== undefined && names.length < 20);
        return names;
      };
      for (const limit of [1, 3, 100]) mustEqual(await list({ limit }), ["a-10", "a-2", "b", "c"], `pages of ${limit}`);
      mustEqual(await list({ volumeId: one.volumeId, limit: 2 }), ["a-10", "a-2", "c"], "the snapshots of a volume");
      mustEqual(await list({ volumeId: "never-was" }), [], "the snapshots of a volume that is not there");
      mustEqual(await list({ name: "b" }), ["b"], "the snapshot of a name");
      mustEqual(await list({ ownerDatacenter: "dc-2" }), ["b"], "the snapshots of a datacenter");
      const call = facet.listSnapshots({ pageToken: "no-such-token" }, test.operation());
      await mustReject(call, "ABORTED", "an unknown page token");
    },
  },
  {
    id: "storage.snapshots.absent",
    title: "an absent volume or snapshot is not found, by every operation that needs it",
    clause: "createSnapshot, getSnapshot, attachSnapshot, revertToSnapshot, revertBlockers: NOT_FOUND",
    level: "extended",
    facet: "snapshots",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("snapshots");
      const snapshotId = "never-was";
      await mustReject(snapshotOf(test, "kept", "never-was"), "NOT_FOUND", "createSnapshot");
      await mustReject(facet.getSnapshot({ snapshotId }, test.operation()), "NOT_FOUND", "getSnapshot");
      if (limitsOf(test, "snapshots").read !== false) {
        const call = facet.attachSnapshot({ snapshotId, host: test.instance.hosts[0] }, test.operation());
        await mustReject(call, "NOT_FOUND", "attachSnapshot");
      }
      if (limitsOf(test, "snapshots").revert === false) return;
      await mustReject(
        facet.revertToSnapshot({ volumeId, snapshotId }, test.operation()),
        "NOT_FOUND",
        "revertToSnapshot",
      );
      await mustReject(facet.revertBlockers({ volumeId, snapshotId }, test.operation()), "NOT_FOUND", "revertBlockers");
    },
  },
  {
    id: "storage.layering.snapshot",
    title: "an overlay of a snapshot reads what it holds while the volume is written, and holds it",
    clause:
      "CreateOverlay.parent: A volume must not be written while it has overlays; one whose snapshot has some may be. Limits: `parents`.",
    level: "extended",
    facet: "layering",
    async run(test) {
      if (test.description.facets.snapshots?.status !== "available") return;
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 9: 1 });
      const { snapshotId } = await snapshotOf(test, "kept", volumeId);
      const parent = { kind: "snapshot", snapshotId } as const;
      const made = whileWritten(test, volumeId, 2, async (client) => {
        const overlay = await test.facet("layering").createOverlay({ name: "overlay", parent }, test.operation());
        await client.write(0, new Uint8Array(4096).fill(2));
        return overlay;
      });
      if (!takesSource(test, "layering", "snapshot")) {
        await mustReject(made, "UNIMPLEMENTED", "an overlay of a snapshot, which `parents` does not name");
        return;
      }
      const overlay = await made;
      mustEqual(overlay.parent, parent, "the overlay's parent");
      await writeBlocks(test, overlay.volumeId, 1, { 9: 3 });
      await mustHold(test, overlay.volumeId, 2, { 0: 1, 9: 3 });
      await mustHold(test, volumeId, 3, { 0: 2, 9: 1 });
      const names = blockerNames(
        await mustReject(
          test.facet("snapshots").deleteSnapshot({ snapshotId }, test.operation()),
          "FAILED_PRECONDITION",
          "deleting a snapshot that has an overlay",
        ),
      );
      must(
        names.includes("overlay"),
        `the error must name the overlay as a blocker, and names '${names.join("', '")}'`,
      );
      await test.facet("layering").copyUp({ volumeId: overlay.volumeId }, test.operation());
      await test.facet("snapshots").deleteSnapshot({ snapshotId }, test.operation());
      await mustHold(test, overlay.volumeId, 3, { 0: 1, 9: 3 });
    },
  },
  {
    id: "storage.clones.snapshot",
    title: "a clone of a snapshot begins with what that holds, not with what the volume holds now",
    clause: "cloneVolume: Makes a volume with the content of another volume or a snapshot. Limits: `sources`.",
    level: "extended",
    facet: "clones",
    async run(test) {
      if (test.description.facets.snapshots?.status !== "available") return;
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const snapshot = await snapshotOf(test, "kept", volumeId);
      await writeBlocks(test, volumeId, 2, { 0: 2 });
      const source = { kind: "snapshot", snapshotId: snapshot.snapshotId } as const;
      const made = test.facet("clones").cloneVolume({ name: "clone", source, want: "any" }, test.operation());
      if (!takesSource(test, "clones", "snapshot")) {
        await mustReject(made, "UNIMPLEMENTED", "a clone of a snapshot, which `sources` does not name");
        return;
      }
      const { volume } = await made;
      await mustHold(test, volume.volumeId, 1, { 0: 1 });
      await writeBlocks(test, volume.volumeId, 2, { 0: 3 });
      await mustHold(test, volumeId, 3, { 0: 2 });
      await readSnapshot(test, snapshot, async (client) => {
        const [first] = await client.read(0, 4096);
        mustEqual(first, 1, "what the snapshot holds after its clone was written");
      });
    },
  },
];
