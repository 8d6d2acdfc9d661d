import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { controller } from "../../src/spec/controller-service.ts";
import { node } from "../../src/spec/node-service.ts";
import type { TextMap } from "../../src/spec/volume-messages.ts";
import type { SanityRequirement } from "./controller-requirements.ts";
import { block, type DriverUnderTest } from "./driver-under-test.ts";

/** A volume that is published by the controller, and the paths for it on the node. */
async function prepare(driver: DriverUnderTest) {
  const { volumeId } = await driver.create("one");
  const publish = { volumeId, nodeId: driver.nodeId, volumeCapability: block };
  const { publishContext } = await driver.call(controller.publishVolume, publish);
  const stagingTargetPath = join(driver.folder, "staging");
  mkdirSync(stagingTargetPath);
  const context: TextMap = { ...publishContext };
  const stage = { volumeId, publishContext: context, stagingTargetPath, volumeCapability: block };
  return { volumeId, stage, publish: { ...stage, targetPath: join(driver.folder, "target") } };
}

/** Service Node. */
export const nodeRequirements: readonly SanityRequirement[] = [
  {
    clause: "NodeGetInfo: node_id is REQUIRED, of at most 256 bytes; NodeGetCapabilities names nothing unknown",
    async run(driver) {
      const { nodeId, maxVolumesPerNode } = await driver.call(node.getInfo, {});
      expect(nodeId.length).toBeGreaterThan(0);
      expect(Buffer.byteLength(nodeId)).toBeLessThanOrEqual(256);
      expect(maxVolumesPerNode).toBeGreaterThanOrEqual(0);
      for (const { rpc } of (await driver.call(node.getCapabilities, {})).capabilities) {
        expect([1, 2, 3, 4, 5, 6]).toContain(rpc?.type);
      }
    },
  },
  {
    clause: "NodeStageVolume and NodeUnstageVolume: REQUIRED fields",
    async run(driver) {
      const { stage } = await prepare(driver);
      for (const field of ["volumeId", "stagingTargetPath", "volumeCapability"] as const) {
        await driver.refuses("INVALID_ARGUMENT", node.stageVolume, { ...stage, [field]: undefined });
      }
      const { volumeId, stagingTargetPath } = stage;
      await driver.refuses("INVALID_ARGUMENT", node.unstageVolume, { volumeId });
      await driver.refuses("INVALID_ARGUMENT", node.unstageVolume, { stagingTargetPath });
      await driver.refuses("INVALID_ARGUMENT", node.stageVolume, { ...stage, stagingTargetPath: "relative" });
      await driver.refuses("INVALID_ARGUMENT", node.stageVolume, { ...stage, publishContext: {} });
    },
  },
  {
    clause: "NodePublishVolume and NodeUnpublishVolume: REQUIRED fields; a volume is staged first",
    async run(driver) {
      const { publish, volumeId } = await prepare(driver);
      for (const field of ["volumeId", "targetPath", "volumeCapability"] as const) {
        await driver.refuses("INVALID_ARGUMENT", node.publishVolume, { ...publish, [field]: undefined });
      }
      await driver.refuses("FAILED_PRECONDITION", node.publishVolume, publish);
      await driver.refuses("INVALID_ARGUMENT", node.unpublishVolume, { volumeId });
      await driver.refuses("INVALID_ARGUMENT", node.unpublishVolume, { targetPath: publish.targetPath });
    },
  },
  {
    clause: "staging, publishing, unpublishing and unstaging are idempotent; the SP makes and deletes target_path",
    async run(driver) {
      const { stage, publish, volumeId } = await prepare(driver);
      const { stagingTargetPath } = stage;
      const { targetPath } = publish;
      for (const _ of ["at first", "and again"]) await driver.call(node.stageVolume, stage);
      for (const _ of ["at first", "and again"]) await driver.call(node.publishVolume, publish);
      expect(existsSync(targetPath)).toBe(true);
      for (const volumePath of [targetPath, stagingTargetPath]) {
        const { usage } = await driver.call(node.getVolumeStats, { volumeId, volumePath });
        expect(usage[0]).toMatchObject({ unit: 1 });
        expect(usage[0]?.total).toBeGreaterThan(0);
      }
      for (const _ of ["at first", "and again"]) await driver.call(node.unpublishVolume, { volumeId, targetPath });
      expect(existsSync(targetPath)).toBe(false);
      for (const _ of ["at first", "and again"]) await driver.call(node.unstageVolume, { volumeId, stagingTargetPath });
      await driver.call(controller.unpublishVolume, { volumeId, nodeId: driver.nodeId });
      await driver.call(controller.deleteVolume, { volumeId });
    },
  },
  {
    clause: "NodeGetVolumeStats: REQUIRED fields; NOT_FOUND for a volume or path that is not there",
    async run(driver) {
      const { stage, publish, volumeId } = await prepare(driver);
      const volumePath = publish.targetPath;
      await driver.call(node.stageVolume, stage);
      await driver.call(node.publishVolume, publish);
      await driver.refuses("INVALID_ARGUMENT", node.getVolumeStats, { volumePath });
      await driver.refuses("INVALID_ARGUMENT", node.getVolumeStats, { volumeId });
      await driver.refuses("NOT_FOUND", node.getVolumeStats, { volumeId: "another", volumePath });
      await driver.refuses("NOT_FOUND", node.getVolumeStats, { volumeId, volumePath: "/some/path" });
    },
  },
  {
    clause: "ALREADY_EXISTS for a path that has another volume; nobody else's file is touched",
    async run(driver) {
      const { stage, publish, volumeId } = await prepare(driver);
      await driver.call(node.stageVolume, stage);
      await driver.refuses("ALREADY_EXISTS", node.stageVolume, { ...stage, volumeId: "another" });
      const foreign = join(driver.folder, "foreign");
      writeFileSync(foreign, "mine");
      await driver.refuses("FAILED_PRECONDITION", node.publishVolume, { ...publish, targetPath: foreign });
      const link = join(driver.folder, "link");
      symlinkSync(foreign, link);
      for (const targetPath of [foreign, link]) await driver.call(node.unpublishVolume, { volumeId, targetPath });
      expect([existsSync(foreign), existsSync(link)]).toEqual([true, true]);
    },
  },
  {
    clause: "a mounted file system is refused: publishing as a block device is all there is",
    async run(driver) {
      const { stage } = await prepare(driver);
      const volumeCapability = { mount: {}, accessMode: { mode: 1 } };
      await driver.refuses("INVALID_ARGUMENT", node.stageVolume, { ...stage, volumeCapability });
    },
  },
  {
    clause: "calls at once for one path: one does it, the others repeat it or are ABORTED",
    async run(driver) {
      const { stage } = await prepare(driver);
      const calls = await Promise.allSettled(Array.from({ length: 8 }, () => driver.call(node.stageVolume, stage)));
      expect(calls.some(({ status }) => status === "fulfilled")).toBe(true);
      for (const call of calls) if (call.status === "rejected") expect(call.reason).toMatchObject({ code: "ABORTED" });
    },
  },
];
