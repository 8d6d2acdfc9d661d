import type { CloneResult, CloneVolume, Volume } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  create,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  type StorageTest,
  writeBlocks,
} from "./storage-instance.ts";

function clone(
  test: StorageTest,
  name: string,
  source: Volume,
  want: CloneVolume["want"] = "any",
  capacityBytes?: number,
): Promise<CloneResult> {
  const size = capacityBytes === undefined ? {} : { capacityBytes };
  return test
    .facet("clones")
    .cloneVolume({ name, source: { kind: "volume", volumeId: source.volumeId }, want, ...size }, test.operation());
}

function has(test: StorageTest, kind: string): boolean {
  const clones = test.description.facets.clones;
  return clones?.status === "available" && Array.isArray(clones.limits.kinds) && clones.limits.kinds.includes(kind);
}

function needsLinked(test: StorageTest): void {
  if (!has(test, "linked")) test.notApplicable("the provider makes no linked clones");
}

async function lineageOf(test: StorageTest, volumeId: string) {
  return test.facet("lineage").getLineage({ volumeId }, test.operation());
}

/** Facets `clones` and `lineage`. */
export const cloneRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.clones.content",
    title: "a clone begins with its source's content and goes its own way",
    clause: "cloneVolume: Makes a volume with the content of another volume.",
    level: "extended",
    facet: "clones",
    async run(test) {
      const source = await create(test, "source");
      await writeBlocks(test, source.volumeId, 1, { 0: 1, 20: 1 });
      const kinds = ["linked", "full"].filter((kind) => has(test, kind)) as CloneVolume["want"][];
      for (const want of [...kinds, "any" as const]) {
        const { volume, kind } = await clone(test, `clone-${want}`, source, want, 8 * mib);
        if (want !== "any") {
          must(want === "linked" ? kind === "linked" : kind !== "linked", `'${want}' was wanted, and it is '${kind}'`);
        }
        mustEqual(volume.capacityBytes, 8 * mib, "the size of a larger clone");
        await writeBlocks(test, volume.volumeId, 1, { 0: 2 });
        await mustHold(test, volume.volumeId, 2, { 0: 2, 20: 1, 1500: 0 });
      }
      await mustHold(test, source.volumeId, 5, { 0: 1, 20: 1 });
    },
  },
  {
    id: "storage.clones.idempotent",
    title: "the same clone again is the same volume; another under its name is refused",
    clause: "cloneVolume: idempotent; ALREADY_EXISTS",
    level: "extended",
    facet: "clones",
    async run(test) {
      const source = await create(test, "source");
      const other = await create(test, "other");
      const made = await Promise.allSettled(Array.from({ length: 4 }, () => clone(test, "clone", source)));
      const ids = made.flatMap((call) => (call.status === "fulfilled" ? [call.value.volume.volumeId] : []));
      const again = await clone(test, "clone", source);
      mustEqual([...new Set([...ids, again.volume.volumeId])], [again.volume.volumeId], "the ids of equal clones");
      await mustReject(clone(test, "clone", other), "ALREADY_EXISTS", "a clone of another source");
      mustEqual(await namesOf(test), ["clone", "other", "source"], "the names");
    },
  },
  {
    id: "storage.clones.source",
    title: "a source that is absent is not found, and leaves nothing",
    clause: "cloneVolume: errors NOT_FOUND",
    level: "extended",
    facet: "clones",
    async run(test) {
      const call = test
        .facet("clones")
        .cloneVolume(
          { name: "clone", source: { kind: "volume", volumeId: "never-was" }, want: "any" },
          test.operation(),
        );
      await mustReject(call, "NOT_FOUND", "a clone of nothing");
      mustEqual(await namesOf(test), [], "the names after a refused clone");
    },
  },
  {
    id: "storage.clones.read-only",
    title: "a volume with linked clones can't be written until the last is gone",
    clause: "cloneVolume: A volume that has been cloned is read-only until its last linked child is gone.",
    level: "extended",
    facet: "clones",
    async run(test) {
      needsLinked(test);
      const source = await create(test, "source");
      const { volume } = await clone(test, "clone", source, "linked");
      await mustReject(attach(test, source.volumeId, 1), "FAILED_PRECONDITION", "attaching a parent for writing");
      await test.provider.deleteVolume({ volumeId: volume.volumeId }, test.operation());
      await writeBlocks(test, source.volumeId, 2, { 0: 1 });
    },
  },
  {
    id: "storage.clones.durable",
    title: "clones and what they share are there after a kill",
    clause: "Whatever was acknowledged survives `kill -9`",
    level: "extended",
    facet: "clones",
    async run(test) {
      const source = await create(test, "source");
      await writeBlocks(test, source.volumeId, 1, { 7: 7 });
      const { volume } = await clone(test, "clone", source);
      const provider = await test.wrap(await test.instance.reopen());
      const { items } = await provider.listVolumes({ name: "clone" }, test.operation());
      mustEqual(items[0]?.volumeId, volume.volumeId, "the id of the clone after a restart");
      const { transport } = await attach(test, volume.volumeId, 1, { provider, access: "readOnly" });
      const client = await test.instance.openTransport(transport);
      const data = await client.read(7 * 4096, 4096);
      await client.close();
      must(
        data.every((byte) => byte === 7),
        "a clone must hold its source's data after a restart",
      );
    },
  },
  {
    id: "storage.lineage.tree",
    title: "the family of a volume: parents before children, with their depth",
    clause: "lineageTree: The family of a volume, or of all: parents before children.",
    level: "extended",
    facet: "lineage",
    async run(test) {
      needsLinked(test);
      const root = await create(test, "root");
      await create(test, "stranger");
      const middle = (await clone(test, "middle", root, "linked")).volume;
      const leaf = await clone(test, "leaf", middle, "linked");
      mustEqual(leaf.depth, 3, "the depth that a clone of a clone says");
      const { volumeId } = middle;
      const lineage = await lineageOf(test, volumeId);
      mustEqual(
        [lineage.parentVolumeId, lineage.children, lineage.depth, lineage.tombstoned],
        [root.volumeId, [leaf.volume.volumeId], 2, false],
        "the lineage of the middle",
      );
      const family = await test.facet("lineage").lineageTree({ volumeId }, test.operation());
      mustEqual(
        family.map(({ name, depth }) => [name, depth]),
        [
          ["root", 1],
          ["middle", 2],
          ["leaf", 3],
        ],
        "the family",
      );
      const all = await test.facet("lineage").lineageTree({}, test.operation());
      mustEqual(all.length, 4, "the number of volumes in the tree of all");
    },
  },
  {
    id: "storage.lineage.tombstone",
    title: "a deleted parent frees its name at once, serves its children on, and goes with the last of them",
    clause:
      "Lineage.tombstoned: Deleted by its owner, and kept only for its children: its name is free, and it goes with the last of them.",
    level: "extended",
    facet: "lineage",
    async run(test) {
      needsLinked(test);
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 0: 1 });
      const one = (await clone(test, "one", parent, "linked")).volume;
      const two = (await clone(test, "two", parent, "linked")).volume;
      const { volumeId } = parent;
      await test.provider.deleteVolume({ volumeId }, test.operation());
      await mustReject(test.provider.getVolume({ volumeId }, test.operation()), "NOT_FOUND", "get of a deleted parent");
      mustEqual((await lineageOf(test, volumeId)).tombstoned, true, "whether the parent is tombstoned");
      await create(test, "parent", { capacityBytes: 8 * mib });
      mustEqual(await namesOf(test), ["one", "parent", "two"], "the names after the parent was deleted");
      await mustHold(test, one.volumeId, 1, { 0: 1, 1: 0 });
      await test.provider.deleteVolume({ volumeId: one.volumeId }, test.operation());
      await mustHold(test, two.volumeId, 1, { 0: 1 });
      await test.provider.deleteVolume({ volumeId: two.volumeId }, test.operation());
      await mustReject(lineageOf(test, volumeId), "NOT_FOUND", "the lineage of a parent whose last child is gone");
      const { provisionedBytes } = await test.provider.capacity({}, test.operation());
      mustEqual(provisionedBytes, 8 * mib, "what is promised when the family is gone");
    },
  },
  {
    id: "storage.lineage.flatten",
    title: "a flattened clone reads the same and stands alone",
    clause: "flatten: Makes a linked clone stand alone, while in use.",
    level: "extended",
    facet: "lineage",
    async run(test) {
      needsLinked(test);
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 0: 1, 9: 1 });
      const { volumeId } = (await clone(test, "clone", parent, "linked")).volume;
      await writeBlocks(test, volumeId, 1, { 9: 2 });
      const alone = await test.facet("lineage").flatten({ volumeId }, test.operation());
      mustEqual(alone.parent, undefined, "the parent of a flattened clone");
      mustEqual((await lineageOf(test, volumeId)).depth, 1, "the depth of a flattened clone");
      await writeBlocks(test, parent.volumeId, 2, { 0: 5 });
      await test.facet("lineage").flatten({ volumeId }, test.operation());
      await mustHold(test, volumeId, 2, { 0: 1, 5: 0, 9: 2 });
    },
  },
  {
    id: "storage.lineage.promote",
    title: "promoting the last clone of a deleted parent lets that go",
    clause: "promote: so that a tombstoned parent without other children goes",
    level: "extended",
    facet: "lineage",
    async run(test) {
      needsLinked(test);
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 0: 1 });
      const { volumeId } = (await clone(test, "clone", parent, "linked")).volume;
      await test.provider.deleteVolume({ volumeId: parent.volumeId }, test.operation());
      await test.facet("lineage").promote({ volumeId }, test.operation());
      await mustReject(lineageOf(test, parent.volumeId), "NOT_FOUND", "the lineage of a parent that was let go");
      await mustHold(test, volumeId, 1, { 0: 1 });
    },
  },
];
