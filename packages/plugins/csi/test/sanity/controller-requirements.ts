import { expect } from "vitest";
import { controller, controllerRpcs } from "../../src/spec/controller-service.ts";
import { identity } from "../../src/spec/identity-service.ts";
import { mib } from "../csi-pair.ts";
import { block, type DriverUnderTest } from "./driver-under-test.ts";

/** A clause of the CSI specification, and how a driver is held to it. */
export interface SanityRequirement {
  readonly clause: string;
  /** The driver need not have it: it is not held to what it does not say it can. */
  readonly needs?: (typeof controllerRpcs)[keyof typeof controllerRpcs];
  run(driver: DriverUnderTest): Promise<void>;
}

const unknown = "no-such-thing";
const mount = { mount: { fsType: "ext4" }, accessMode: { mode: 1 } };

/** Services Identity and Controller, without snapshots. */
export const controllerRequirements: readonly SanityRequirement[] = [
  {
    clause: "GetPluginInfo: the name is a domain name of at most 63 characters, and there is a version",
    async run(driver) {
      const info = await driver.call(identity.getPluginInfo, {});
      expect(info.name).toMatch(/^[a-z0-9A-Z][-.a-z0-9A-Z]{0,61}[a-z0-9A-Z]$/);
      expect(info.vendorVersion).not.toBe("");
    },
  },
  {
    clause: "Probe answers; what is not said to be unready is ready",
    async run(driver) {
      expect((await driver.call(identity.probe, {})).ready?.value ?? true).toBe(true);
    },
  },
  {
    clause: "GetPluginCapabilities and ControllerGetCapabilities name nothing unknown",
    async run(driver) {
      const { capabilities } = await driver.call(identity.getPluginCapabilities, {});
      expect(capabilities.some(({ service }) => service?.type === 1)).toBe(true);
      for (const { service, volumeExpansion } of capabilities) expect(service ?? volumeExpansion).toBeDefined();
      const rpcs = (await driver.call(controller.getCapabilities, {})).capabilities;
      for (const { rpc } of rpcs) expect(Object.values(controllerRpcs)).toContain(rpc?.type);
    },
  },
  {
    clause: "CreateVolume: name and volume_capabilities are REQUIRED",
    async run(driver) {
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { volumeCapabilities: [block] });
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { name: "a" });
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { name: "a", volumeCapabilities: [{}] });
    },
  },
  {
    clause: "CreateVolume: a capability that can't be had is refused, and so is a mounted file system",
    async run(driver) {
      const volumeCapabilities = [block, { block: {}, accessMode: { mode: 5 } }];
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { name: "a", volumeCapabilities });
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { name: "a", volumeCapabilities: [mount] });
    },
  },
  {
    clause: "CreateVolume: MUST honour the capacity range, and repeat for the same name",
    async run(driver) {
      const first = await driver.create("one");
      expect(first.capacityBytes).toBe(4 * mib);
      expect((await driver.create("one")).volumeId).toBe(first.volumeId);
      const wider = await driver.create("one", { capacityRange: { requiredBytes: 2 * mib, limitBytes: 8 * mib } });
      expect(wider).toEqual(first);
      const open = await driver.create("one", { capacityRange: undefined });
      expect(open.volumeId).toBe(first.volumeId);
    },
  },
  {
    clause: "CreateVolume: ALREADY_EXISTS for the same name and an incompatible capacity",
    async run(driver) {
      await driver.create("one");
      const request = { name: "one", volumeCapabilities: [block] };
      for (const capacityRange of [{ requiredBytes: 8 * mib }, { limitBytes: 2 * mib }]) {
        await driver.refuses("ALREADY_EXISTS", controller.createVolume, { ...request, capacityRange });
      }
    },
  },
  {
    clause: "CreateVolume: OUT_OF_RANGE or RESOURCE_EXHAUSTED for what can't be had; negative sizes are invalid",
    async run(driver) {
      const request = { name: "a", volumeCapabilities: [block] };
      const capacityRange = { requiredBytes: 8 * mib, limitBytes: 4 * mib };
      await driver.refuses("OUT_OF_RANGE", controller.createVolume, { ...request, capacityRange });
      const negative = { requiredBytes: -1 };
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, { ...request, capacityRange: negative });
      const error = driver.create("a", { capacityRange: { requiredBytes: 2 ** 52 } });
      await expect(error).rejects.toMatchObject({ code: expect.stringMatching(/OUT_OF_RANGE|RESOURCE_EXHAUSTED/) });
      const exact = { requiredBytes: 5000, limitBytes: 5000 };
      await driver.refuses("OUT_OF_RANGE", controller.createVolume, { ...request, capacityRange: exact });
    },
  },
  {
    clause: "CreateVolume: a name is any text of 128 bytes without control characters; each is a volume of its own",
    async run(driver) {
      const names = ["x".repeat(128), `${"x".repeat(127)}y`, "Große Platte / 1", "a\tb", "UPPER", "upper"];
      const ids = new Set<string>();
      for (const name of names) {
        const { volumeId } = await driver.create(name);
        expect((await driver.create(name)).volumeId).toBe(volumeId);
        ids.add(volumeId);
      }
      expect(ids.size).toBe(names.length);
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, {
        name: "a\u0007b",
        volumeCapabilities: [block],
      });
    },
  },
  {
    clause: "CreateVolume: parameters that are unknown are not ignored",
    async run(driver) {
      const parameters = { encrypted: "yes" };
      await driver.refuses("INVALID_ARGUMENT", controller.createVolume, {
        name: "a",
        volumeCapabilities: [block],
        parameters,
      });
    },
  },
  {
    clause: "DeleteVolume: volume_id is REQUIRED; what is absent is deleted; an id is not taken again",
    async run(driver) {
      await driver.refuses("INVALID_ARGUMENT", controller.deleteVolume, {});
      await driver.call(controller.deleteVolume, { volumeId: unknown });
      await driver.call(controller.deleteVolume, { volumeId: "x".repeat(1_000) });
      const { volumeId } = await driver.create("one");
      await driver.call(controller.deleteVolume, { volumeId });
      await driver.call(controller.deleteVolume, { volumeId });
      expect((await driver.create("one")).volumeId).not.toBe(volumeId);
    },
  },
  {
    clause: "ValidateVolumeCapabilities: REQUIRED fields, NOT_FOUND, and confirmed only for what is supported",
    async run(driver) {
      const method = controller.validateVolumeCapabilities;
      const { volumeId } = await driver.create("one");
      await driver.refuses("INVALID_ARGUMENT", method, { volumeCapabilities: [block] });
      await driver.refuses("INVALID_ARGUMENT", method, { volumeId });
      await driver.refuses("NOT_FOUND", method, { volumeId: unknown, volumeCapabilities: [block] });
      const { confirmed } = await driver.call(method, { volumeId, volumeCapabilities: [block] });
      expect(confirmed?.volumeCapabilities).toHaveLength(1);
      const refused = await driver.call(method, { volumeId, volumeCapabilities: [block, mount] });
      expect(refused.confirmed).toBeUndefined();
      expect(refused.message).not.toBe("");
    },
  },
  {
    clause: "ListVolumes: no more than max_entries, every volume once, ABORTED for a token that is unknown",
    needs: 3,
    async run(driver) {
      const made = [];
      for (const name of ["a", "b", "c", "d", "e"]) made.push((await driver.create(name)).volumeId);
      for (const maxEntries of [0, 1, 2, 5, 100]) {
        const found: string[] = [];
        let startingToken = "";
        do {
          const page = await driver.call(controller.listVolumes, { maxEntries, startingToken });
          if (maxEntries > 0) expect(page.entries.length).toBeLessThanOrEqual(maxEntries);
          found.push(...page.entries.map(({ volume }) => volume?.volumeId ?? ""));
          startingToken = page.nextToken;
        } while (startingToken !== "");
        expect(found.sort()).toEqual([...made].sort());
      }
      await driver.refuses("ABORTED", controller.listVolumes, { startingToken: "invalid-token" });
      await driver.refuses("ABORTED", controller.listVolumes, { startingToken: "x".repeat(4_000) });
      await driver.refuses("INVALID_ARGUMENT", controller.listVolumes, { maxEntries: -1 });
    },
  },
  {
    clause: "GetCapacity: what can be provisioned falls by what was; nothing for capabilities that can't be had",
    needs: 4,
    async run(driver) {
      const before = (await driver.call(controller.getCapacity, {})).availableCapacity;
      await driver.create("one");
      const after = (await driver.call(controller.getCapacity, { volumeCapabilities: [block] })).availableCapacity;
      expect(before - after).toBe(4 * mib);
      expect((await driver.call(controller.getCapacity, { volumeCapabilities: [mount] })).availableCapacity).toBe(0);
    },
  },
  {
    clause: "ControllerPublishVolume: REQUIRED fields; NOT_FOUND for a volume or node that is absent",
    needs: 2,
    async run(driver) {
      const { nodeId } = driver;
      const { volumeId } = await driver.create("one");
      const good = { volumeId, nodeId, volumeCapability: block };
      for (const field of ["volumeId", "nodeId", "volumeCapability"] as const) {
        await driver.refuses("INVALID_ARGUMENT", controller.publishVolume, { ...good, [field]: undefined });
      }
      await driver.refuses("NOT_FOUND", controller.publishVolume, { ...good, volumeId: unknown });
      await driver.refuses("NOT_FOUND", controller.publishVolume, { ...good, nodeId: unknown });
      await driver.refuses("INVALID_ARGUMENT", controller.publishVolume, { ...good, volumeCapability: mount });
    },
  },
  {
    clause: "ControllerPublishVolume: idempotent; ALREADY_EXISTS when it is published incompatibly; in the list",
    needs: 2,
    async run(driver) {
      const { nodeId } = driver;
      const { volumeId } = await driver.create("one");
      const good = { volumeId, nodeId, volumeCapability: block };
      const first = await driver.call(controller.publishVolume, good);
      expect(await driver.call(controller.publishVolume, good)).toEqual(first);
      await driver.refuses("ALREADY_EXISTS", controller.publishVolume, { ...good, readonly: true });
      const { entries } = await driver.call(controller.listVolumes, {});
      expect(entries[0]?.status?.publishedNodeIds).toEqual([nodeId]);
      await driver.refuses("FAILED_PRECONDITION", controller.deleteVolume, { volumeId });
      await driver.call(controller.unpublishVolume, { volumeId, nodeId });
      await driver.call(controller.unpublishVolume, { volumeId, nodeId });
      const after = await driver.call(controller.listVolumes, {});
      expect(after.entries[0]?.status?.publishedNodeIds).toEqual([]);
      await driver.call(controller.publishVolume, { ...good, readonly: true });
      await driver.call(controller.unpublishVolume, { volumeId });
      await driver.call(controller.deleteVolume, { volumeId });
    },
  },
  {
    clause: "ControllerUnpublishVolume: volume_id is REQUIRED; what is published nowhere succeeds",
    needs: 2,
    async run(driver) {
      await driver.refuses("INVALID_ARGUMENT", controller.unpublishVolume, { nodeId: driver.nodeId });
      await driver.call(controller.unpublishVolume, { volumeId: unknown, nodeId: driver.nodeId });
      const { volumeId } = await driver.create("one");
      await driver.call(controller.publishVolume, { volumeId, nodeId: driver.nodeId, volumeCapability: block });
      await driver.call(controller.unpublishVolume, { volumeId, nodeId: "another" });
      await driver.refuses("FAILED_PRECONDITION", controller.deleteVolume, { volumeId });
      await driver.call(controller.unpublishVolume, { volumeId });
    },
  },
  {
    clause: "ControllerExpandVolume: REQUIRED fields, NOT_FOUND, grows, idempotent, OUT_OF_RANGE, in use",
    needs: 9,
    async run(driver) {
      const method = controller.expandVolume;
      const { volumeId } = await driver.create("one");
      const capacityRange = { requiredBytes: 8 * mib };
      await driver.refuses("INVALID_ARGUMENT", method, { capacityRange });
      await driver.refuses("INVALID_ARGUMENT", method, { volumeId });
      await driver.refuses("NOT_FOUND", method, { volumeId: unknown, capacityRange });
      for (const _ of ["at first", "and again"]) {
        const grown = await driver.call(method, { volumeId, capacityRange });
        expect(grown).toEqual({ capacityBytes: 8 * mib, nodeExpansionRequired: false });
      }
      expect((await driver.call(method, { volumeId, capacityRange: { requiredBytes: mib } })).capacityBytes).toBe(
        8 * mib,
      );
      await driver.refuses("OUT_OF_RANGE", method, { volumeId, capacityRange: { limitBytes: 4 * mib } });
      expect((await driver.create("one", { capacityRange: { requiredBytes: 4 * mib } })).volumeId).toBe(volumeId);
      await driver.call(controller.publishVolume, { volumeId, nodeId: driver.nodeId, volumeCapability: block });
      const larger = { requiredBytes: 16 * mib };
      await driver.refuses("FAILED_PRECONDITION", method, { volumeId, capacityRange: larger });
    },
  },
  {
    clause: "ControllerGetVolume (alpha): the volume, where it is published, and its condition; NOT_FOUND",
    needs: 12,
    async run(driver) {
      const made = await driver.create("one");
      const found = await driver.call(controller.getVolume, { volumeId: made.volumeId });
      expect(found.volume).toEqual(made);
      expect(found.status?.volumeCondition?.abnormal).toBe(false);
      await driver.refuses("NOT_FOUND", controller.getVolume, { volumeId: unknown });
      await driver.refuses("INVALID_ARGUMENT", controller.getVolume, {});
    },
  },
];
