import { expect } from "vitest";
import { controller } from "../../src/spec/controller-service.ts";
import { mib } from "../csi-pair.ts";
import type { SanityRequirement } from "./controller-requirements.ts";
import { block, type DriverUnderTest } from "./driver-under-test.ts";

const unknown = "no-such-thing";

async function snapshot(driver: DriverUnderTest, name: string, sourceVolumeId: string) {
  const { snapshot: made } = await driver.call(controller.createSnapshot, { name, sourceVolumeId });
  if (made === undefined) throw new Error("a snapshot is REQUIRED in the answer");
  return made;
}

async function listed(
  driver: DriverUnderTest,
  request: { readonly snapshotId?: string; readonly sourceVolumeId?: string },
) {
  const { entries } = await driver.call(controller.listSnapshots, request);
  return entries.map((entry) => entry.snapshot?.snapshotId).sort();
}

/** Snapshots and volumes with content. */
export const snapshotRequirements: readonly SanityRequirement[] = [
  {
    clause: "CreateSnapshot: REQUIRED fields, NOT_FOUND, and all that the answer must have",
    needs: 5,
    async run(driver) {
      const { volumeId } = await driver.create("one");
      await driver.refuses("INVALID_ARGUMENT", controller.createSnapshot, { sourceVolumeId: volumeId });
      await driver.refuses("INVALID_ARGUMENT", controller.createSnapshot, { name: "s" });
      await driver.refuses("NOT_FOUND", controller.createSnapshot, { name: "s", sourceVolumeId: unknown });
      const made = await snapshot(driver, "s", volumeId);
      expect(made).toMatchObject({ sourceVolumeId: volumeId, sizeBytes: 4 * mib, readyToUse: true });
      expect(made.creationTime?.seconds).toBeGreaterThan(0);
    },
  },
  {
    clause: "CreateSnapshot: the same name and source is the same; another source is ALREADY_EXISTS",
    needs: 5,
    async run(driver) {
      const [one, two] = [await driver.create("one"), await driver.create("two")];
      const name = "N".repeat(128);
      const first = await snapshot(driver, name, one.volumeId);
      expect(await snapshot(driver, name, one.volumeId)).toEqual(first);
      await driver.refuses("ALREADY_EXISTS", controller.createSnapshot, { name, sourceVolumeId: two.volumeId });
    },
  },
  {
    clause: "DeleteSnapshot: snapshot_id is REQUIRED; what is absent is deleted",
    needs: 5,
    async run(driver) {
      await driver.refuses("INVALID_ARGUMENT", controller.deleteSnapshot, {});
      await driver.call(controller.deleteSnapshot, { snapshotId: unknown });
      await driver.call(controller.deleteSnapshot, { snapshotId: "x".repeat(1_000) });
      const { volumeId } = await driver.create("one");
      const { snapshotId } = await snapshot(driver, "s", volumeId);
      await driver.call(controller.deleteSnapshot, { snapshotId });
      await driver.call(controller.deleteSnapshot, { snapshotId });
      expect(await listed(driver, {})).toEqual([]);
    },
  },
  {
    clause: "ListSnapshots: all, by id, by source; what a filter does not find is an empty list",
    needs: 6,
    async run(driver) {
      const [one, two] = [await driver.create("one"), await driver.create("two")];
      const a = (await snapshot(driver, "a", one.volumeId)).snapshotId;
      const b = (await snapshot(driver, "b", one.volumeId)).snapshotId;
      const c = (await snapshot(driver, "c", two.volumeId)).snapshotId;
      expect(await listed(driver, {})).toEqual([a, b, c].sort());
      expect(await listed(driver, { snapshotId: b })).toEqual([b]);
      expect(await listed(driver, { sourceVolumeId: one.volumeId })).toEqual([a, b].sort());
      expect(await listed(driver, { snapshotId: c, sourceVolumeId: one.volumeId })).toEqual([]);
      expect(await listed(driver, { snapshotId: unknown })).toEqual([]);
      expect(await listed(driver, { sourceVolumeId: unknown })).toEqual([]);
    },
  },
  {
    clause: "ListSnapshots: no more than max_entries, each once; ABORTED for a token that is unknown",
    needs: 6,
    async run(driver) {
      const { volumeId } = await driver.create("one");
      const made: string[] = [];
      for (const name of ["a", "b", "c", "d", "e"]) made.push((await snapshot(driver, name, volumeId)).snapshotId);
      const found: string[] = [];
      let startingToken = "";
      do {
        const page = await driver.call(controller.listSnapshots, { maxEntries: 2, startingToken });
        expect(page.entries.length).toBeLessThanOrEqual(2);
        found.push(...page.entries.map((entry) => entry.snapshot?.snapshotId ?? ""));
        startingToken = page.nextToken;
      } while (startingToken !== "");
      expect(found.sort()).toEqual(made.sort());
      await driver.refuses("ABORTED", controller.listSnapshots, { startingToken: "invalid-token" });
      await driver.refuses("INVALID_ARGUMENT", controller.listSnapshots, { maxEntries: -1 });
    },
  },
  {
    clause: "CreateVolume of a snapshot: says its source, is as large at least, repeats; NOT_FOUND for none",
    needs: 5,
    async run(driver) {
      const { volumeId } = await driver.create("one");
      const { snapshotId } = await snapshot(driver, "s", volumeId);
      const source = { contentSource: { snapshot: { snapshotId } } };
      const made = await driver.create("copy", source);
      expect(made.contentSource?.snapshot?.snapshotId).toBe(snapshotId);
      expect((await driver.create("copy", source)).volumeId).toBe(made.volumeId);
      const larger = await driver.create("larger", { ...source, capacityRange: { requiredBytes: 8 * mib } });
      expect(larger.capacityBytes).toBe(8 * mib);
      const request = { name: "no", volumeCapabilities: [block] };
      const absent = { contentSource: { snapshot: { snapshotId: unknown } } };
      await driver.refuses("NOT_FOUND", controller.createVolume, { ...request, ...absent });
      const tooSmall = { ...source, capacityRange: { limitBytes: 2 * mib } };
      await driver.refuses("OUT_OF_RANGE", controller.createVolume, { ...request, ...tooSmall });
    },
  },
  {
    clause: "CreateVolume of a volume: says its source, repeats; the source stays writable; NOT_FOUND for none",
    needs: 7,
    async run(driver) {
      const { volumeId } = await driver.create("one");
      const source = { contentSource: { volume: { volumeId } } };
      const made = await driver.create("copy", source);
      expect(made.contentSource?.volume?.volumeId).toBe(volumeId);
      expect((await driver.create("copy", source)).volumeId).toBe(made.volumeId);
      await driver.call(controller.publishVolume, { volumeId, nodeId: driver.nodeId, volumeCapability: block });
      const request = { name: "no", volumeCapabilities: [block] };
      const absent = { contentSource: { volume: { volumeId: unknown } } };
      await driver.refuses("NOT_FOUND", controller.createVolume, { ...request, ...absent });
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { ...request, contentSource: {} });
    },
  },
];
