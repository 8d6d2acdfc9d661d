import { isVdcError } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  create,
  detach,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  type StorageTest,
  writeBlocks,
} from "./storage-instance.ts";

async function overlay(test: StorageTest, name: string, parent: Volume, capacityBytes?: number): Promise<Volume> {
  const size = capacityBytes === undefined ? {} : { capacityBytes };
  return test
    .facet("layering")
    .createOverlay({ name, parent: { kind: "volume", volumeId: parent.volumeId }, ...size }, test.operation());
}

/** Facet `layering`. */
export const layeringRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.layering.reads",
    title: "an overlay reads its parent's blocks until it writes its own, and never changes the parent",
    clause: "LayeringFacet: a volume whose unwritten blocks are those of another",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 0: 1, 20: 1 });
      const child = await overlay(test, "child", parent);
      mustEqual([child.capacityBytes, child.parent], [4 * mib, { kind: "volume", volumeId: parent.volumeId }], "child");
      await writeBlocks(test, child.volumeId, 1, { 0: 2, 40: 2 });
      await mustHold(test, child.volumeId, 2, { 0: 2, 20: 1, 30: 0, 40: 2 });
      await mustHold(test, parent.volumeId, 2, { 0: 1, 20: 1, 40: 0 });
    },
  },
  {
    id: "storage.layering.depth",
    title: "an overlay of an overlay reads through all of them",
    clause: "LayeringFacet: Limits: `maxDepth` (0 for no limit).",
    level: "extended",
    facet: "layering",
    async run(test) {
      let top = await create(test, "layer-0");
      await writeBlocks(test, top.volumeId, 1, { 0: 1, 10: 1 });
      const expected: Record<number, number> = { 0: 1, 10: 1 };
      for (let depth = 1; depth < 5; depth++) {
        top = await overlay(test, `layer-${depth}`, top);
        await writeBlocks(test, top.volumeId, 1, { 10: depth + 1, [10 + depth]: depth + 1 });
        Object.assign(expected, { 10: depth + 1, [10 + depth]: depth + 1 });
      }
      await mustHold(test, top.volumeId, 2, expected);
    },
  },
  {
    id: "storage.layering.size",
    title: "an overlay may be larger than its parent, and reads zeroes there; it can't be smaller",
    clause: "CreateOverlay.capacityBytes: At least the parent's size.",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 1023: 1 });
      const child = await overlay(test, "child", parent, 8 * mib);
      mustEqual(child.capacityBytes, 8 * mib, "the size of a larger overlay");
      await mustHold(test, child.volumeId, 1, { 1023: 1, 1024: 0, 2047: 0 });
      await mustReject(overlay(test, "small", parent, 2 * mib), "OUT_OF_RANGE", "an overlay smaller than its parent");
    },
  },
  {
    id: "storage.layering.idempotent",
    title: "the same overlay again is the same volume; a name that is taken is refused",
    clause: "createOverlay: idempotent; ALREADY_EXISTS",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      const child = await overlay(test, "child", parent);
      mustEqual((await overlay(test, "child", parent)).volumeId, child.volumeId, "the id of a repeated overlay");
      await mustReject(overlay(test, "child", child), "ALREADY_EXISTS", "an overlay of another parent");
      await mustReject(overlay(test, "parent", parent), "ALREADY_EXISTS", "an overlay under its parent's name");
    },
  },
  {
    id: "storage.layering.parent-read-only",
    title: "a volume with overlays can't be written, and one that is written gets no overlays",
    clause: "createOverlay: The parent becomes read-only.",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      const attachment = await attach(test, parent.volumeId, 1);
      await mustReject(overlay(test, "child", parent), "FAILED_PRECONDITION", "an overlay of a volume that is written");
      await detach(test, attachment);
      const child = await overlay(test, "child", parent);
      await mustReject(attach(test, parent.volumeId, 2), "FAILED_PRECONDITION", "attaching a parent for writing");
      await mustHold(test, parent.volumeId, 3, { 0: 0 });
      await test.provider.deleteVolume({ volumeId: child.volumeId }, test.operation());
      await writeBlocks(test, parent.volumeId, 4, { 0: 1 });
    },
  },
  {
    id: "storage.layering.delete-parent",
    title: "a volume with overlays is not deleted, and the error names them",
    clause: "deleteVolume: errors FAILED_PRECONDITION; `blockers` name why",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      const child = await overlay(test, "child", parent);
      const call = test.provider.deleteVolume({ volumeId: parent.volumeId }, test.operation());
      const error = await mustReject(call, "FAILED_PRECONDITION", "deleting a volume that has an overlay");
      const blockers = isVdcError(error) ? error.blockers.map(({ name }) => name) : [];
      must(blockers.includes("child"), `the error must name the overlay as a blocker, and names ${blockers.join()}`);
      await mustHold(test, child.volumeId, 1, { 0: 0 });
      await test.provider.deleteVolume({ volumeId: child.volumeId }, test.operation());
      await test.provider.deleteVolume({ volumeId: parent.volumeId }, test.operation());
      mustEqual(await namesOf(test), [], "the names after both were deleted");
    },
  },
  {
    id: "storage.layering.copy-up",
    title: "a volume that was copied up, also while it is attached, reads the same and needs its parent no more",
    clause:
      "copyUp: Copies into the volume all that it reads from its parent, then forgets the parent. Works while attached.",
    level: "extended",
    facet: "layering",
    async run(test) {
      const parent = await create(test, "parent");
      await writeBlocks(test, parent.volumeId, 1, { 0: 1, 20: 1, 30: 1 });
      for (const [name, attached] of [
        ["detached", false],
        ["attached", true],
      ] as const) {
        const child = await overlay(test, name, parent);
        await writeBlocks(test, child.volumeId, 1, { 20: 2 });
        const attachment = attached ? await attach(test, child.volumeId, 2) : undefined;
        const alone = await test.facet("layering").copyUp({ volumeId: child.volumeId }, test.operation());
        mustEqual(alone.parent, undefined, `the parent of a volume that was copied up while ${name}`);
        if (attachment !== undefined) await detach(test, attachment);
        await test.facet("layering").copyUp({ volumeId: child.volumeId }, test.operation());
      }
      await test.provider.deleteVolume({ volumeId: parent.volumeId }, test.operation());
      for (const { volumeId } of (await test.provider.listVolumes({}, test.operation())).items) {
        await mustHold(test, volumeId, 5, { 0: 1, 10: 0, 20: 2, 30: 1 });
      }
    },
  },
];
