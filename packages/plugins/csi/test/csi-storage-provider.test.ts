import { describe, expect, test } from "vitest";
import { mib } from "./csi-pair.ts";
import { pluginOverDriver } from "./plugin-over-driver.ts";
import { fails } from "./scripted-driver.ts";

const { driver, open, socketOf } = pluginOverDriver();

const gone = expect.objectContaining({ code: "NOT_FOUND" });

describe("a volume", () => {
  test("goes through every step that the driver says it has, in the specification's order", async () => {
    const csi = await driver();
    const storage = await open();
    csi.taken();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const { transport } = await storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    expect(transport).toMatchObject({ kind: "file", format: "raw" });
    await storage.detachVolume({ volumeId, host: "host-1", generation: 1 });
    await storage.deleteVolume({ volumeId });
    const published = csi.calls.filter(({ name }) => /(stage|publish)Volume$/i.test(name));
    for (const { name, request } of published.filter(({ name }) => !name.includes("un"))) {
      expect(request.volumeContext, name).toEqual({ of: "the volume" });
      if (name.startsWith("node")) expect(request.publishContext).toEqual({ of: "the publication" });
    }
    expect(csi.taken()).toEqual([
      "controller.createVolume",
      "controller.publishVolume",
      "node.stageVolume",
      "node.publishVolume",
      "node.unpublishVolume",
      "node.unstageVolume",
      "controller.unpublishVolume",
      "controller.deleteVolume",
    ]);
  });

  test("takes no step that the driver does not have, and its facets are absent with that reason", async () => {
    const csi = await driver("csi", { controllerRpcs: [1], nodeRpcs: [], expansions: [] });
    const storage = await open({ capacityBytes: 100 * mib });
    csi.taken();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const attachment = await storage.attachVolume({ volumeId, host: "host-1", access: "readOnly", generation: 1 });
    expect(attachment.fencing).toBe("none");
    expect(csi.taken()).toEqual(["controller.createVolume", "node.publishVolume"]);
    const { facets, attributes } = await storage.describe({ scope: {} });
    expect(attributes.fencing).toBe("none");
    expect(facets.resize).toMatchObject({ status: "unavailable", reason: "the driver does not have EXPAND_VOLUME" });
    expect(facets.snapshots?.status).toBe("unavailable");
    expect(facets.clones?.status).toBe("unavailable");
    expect(await storage.capacity({})).toMatchObject({ totalBytes: 100 * mib, freeBytes: 99 * mib });
  });

  test("whose create was answered by nobody is made by a repeat, under the same name", async () => {
    const csi = await driver();
    const storage = await open();
    const make = csi.answers.createVolume as (request: never) => unknown;
    csi.answers.createVolume = fails("DEADLINE_EXCEEDED");
    const input = { name: "disk", capacityBytes: mib };
    await expect(storage.createVolume(input)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    csi.answers.createVolume = make;
    const made = await storage.createVolume(input);
    const names = csi.calls.filter(({ name }) => name === "controller.createVolume").map(({ request }) => request.name);
    expect(names).toEqual([names[0], names[0]]);
    expect((await storage.listVolumes({})).items.map(({ volumeId }) => volumeId)).toEqual([made.volumeId]);
  });

  test("whose create was answered by nobody is undone when another spec, or another start, comes first", async () => {
    const csi = await driver();
    const storage = await open();
    const make = csi.answers.createVolume as (request: never) => unknown;
    csi.answers.createVolume = fails("UNAVAILABLE");
    await expect(storage.createVolume({ name: "a", capacityBytes: mib })).rejects.toMatchObject({ retryable: true });
    await expect(storage.createVolume({ name: "b", capacityBytes: mib })).rejects.toMatchObject({ retryable: true });
    csi.answers.createVolume = make;
    csi.taken();
    await storage.createVolume({ name: "a", capacityBytes: 2 * mib });
    expect(csi.taken()).toEqual(["controller.createVolume", "controller.deleteVolume", "controller.createVolume"]);
    const again = await open();
    expect(csi.taken()).toEqual(["controller.createVolume", "controller.deleteVolume"]);
    expect((await again.listVolumes({})).items.map(({ name }) => name)).toEqual(["a"]);
  });

  test("that the driver makes smaller, or without its content, is refused and removed", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "source", capacityBytes: mib });
    csi.answers.createVolume = () => ({ volume: { volumeId: "x", capacityBytes: mib } });
    const broken = { code: "INTERNAL", reason: "VDC_CSI_VIOLATION" };
    await expect(storage.createVolume({ name: "disk", capacityBytes: 2 * mib })).rejects.toMatchObject(broken);
    const clones = await storage.facet("clones");
    if (!clones.available) throw new Error(clones.reason);
    const clone = { name: "clone", source: { kind: "volume" as const, volumeId }, want: "any" as const };
    await expect(clones.operations.cloneVolume(clone)).rejects.toMatchObject(broken);
    csi.answers.createVolume = () => ({ volume: { volumeId: "x".repeat(5_000) } });
    await expect(storage.createVolume({ name: "disk", capacityBytes: mib })).rejects.toMatchObject(broken);
    expect(csi.calls.filter(({ name }) => name === "controller.deleteVolume")).toHaveLength(2);
    expect((await storage.listVolumes({})).items.map(({ name }) => name)).toEqual(["source"]);
  });

  test("that grew tells its host: at once when it is attached, else at the next attach", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const resize = await storage.facet("resize");
    if (!resize.available) throw new Error(resize.reason);
    await resize.operations.resizeVolume({ volumeId, capacityBytes: 2 * mib });
    csi.taken();
    await storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    expect(csi.taken()).toContain("node.expandVolume");
    await resize.operations.resizeVolume({ volumeId, capacityBytes: 3 * mib });
    expect(csi.taken()).toEqual(["controller.expandVolume", "node.expandVolume"]);
  });

  test("that the driver has lost is abnormal", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    expect(await storage.health({ volumeId })).toMatchObject({ condition: "healthy" });
    csi.answers.validateVolumeCapabilities = fails("NOT_FOUND", "no such volume");
    expect(await storage.health({ volumeId })).toEqual({ condition: "abnormal", message: "no such volume" });
    await csi.stop();
    expect(await storage.health({})).toMatchObject({ condition: "degraded" });
  });
});

describe("an owner", () => {
  test("whose host is lost is cut off by the controller, and the host is cleared before it gets the volume again", async () => {
    const csi = await driver();
    const lost = await driver("lost");
    lost.answers.getInfo = () => ({ nodeId: "node-2" });
    const storage = await open({
      nodes: [{ host: "host-1" }, { host: "host-2", endpoint: { socket: socketOf("lost") } }],
    });
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    await storage.attachVolume({ volumeId, host: "host-2", access: "readWrite", generation: 1 });
    await lost.stop();
    csi.taken();
    await storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 2 });
    expect(csi.taken()[0]).toBe("controller.unpublishVolume");
    await storage.detachVolume({ volumeId, host: "host-1", generation: 2 });
    await lost.start();
    lost.taken();
    await storage.attachVolume({ volumeId, host: "host-2", access: "readWrite", generation: 3 });
    const steps = ["node.unpublishVolume", "node.unstageVolume", "node.stageVolume", "node.publishVolume"];
    expect(lost.taken()).toEqual(steps);
  });

  test("that can't be cut off keeps the volume: without a controller that unpublishes, the revoke fails", async () => {
    const csi = await driver("csi", { controllerRpcs: [1] });
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    await storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    await csi.stop();
    const revoked = storage.revokeAttachment({ volumeId, generation: 1 });
    await expect(revoked).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    await csi.start();
    await storage.revokeAttachment({ volumeId, generation: 1 });
    expect(await storage.getAttachment({ volumeId })).toEqual({});
  });

  test("whose attach broke off is attached by a repeat, or ended by a detach", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const attach = { volumeId, host: "host-1", access: "readWrite" as const, generation: 1 };
    csi.answers["node.stageVolume"] = fails("INTERNAL", "no such device");
    await expect(storage.attachVolume(attach)).rejects.toMatchObject({ code: "INTERNAL", message: "no such device" });
    expect(await storage.getAttachment({ volumeId })).toEqual({});
    delete csi.answers["node.stageVolume"];
    expect((await storage.attachVolume(attach)).generation).toBe(1);
    csi.answers["node.stageVolume"] = fails("INTERNAL");
    await storage.detachVolume(attach);
    await expect(storage.attachVolume({ ...attach, generation: 2 })).rejects.toThrow();
    await storage.detachVolume({ ...attach, generation: 2 });
    await storage.deleteVolume({ volumeId });
    await expect(storage.getVolume({ volumeId })).rejects.toEqual(gone);
  });

  test("gets no path that the driver has only promised", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    csi.answers["node.publishVolume"] = () => ({});
    const attach = storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    await expect(attach).rejects.toMatchObject({ reason: "VDC_CSI_NOT_PUBLISHED" });
  });
});
