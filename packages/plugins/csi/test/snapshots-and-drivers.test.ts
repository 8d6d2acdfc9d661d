import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { mib } from "./csi-pair.ts";
import { pluginOverDriver } from "./plugin-over-driver.ts";
import { fails } from "./scripted-driver.ts";

const { driver, open, socketOf, recorded } = pluginOverDriver();

describe("a snapshot", () => {
  test("is read through a volume of its own, which goes with the reading", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const facet = await storage.facet("snapshots");
    if (!facet.available) throw new Error(facet.reason);
    const snapshots = facet.operations;
    const { snapshotId } = await snapshots.createSnapshot({ name: "s", volumeId });
    csi.taken();
    const { transport } = await snapshots.attachSnapshot({ snapshotId, host: "host-1" });
    const path = transport.kind === "file" ? transport.path : "";
    expect(existsSync(path)).toBe(true);
    expect(csi.taken()[0]).toBe("controller.createVolume");
    await expect(snapshots.deleteSnapshot({ snapshotId })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await snapshots.detachSnapshot({ snapshotId, host: "host-1" });
    expect(existsSync(path)).toBe(false);
    expect(csi.taken().at(-1)).toBe("controller.deleteVolume");
    await snapshots.deleteSnapshot({ snapshotId });
  });

  test("takes the place of its volume in a revert; what it replaced goes when the driver lets it go", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const facet = await storage.facet("snapshots");
    if (!facet.available) throw new Error(facet.reason);
    const { snapshotId } = await facet.operations.createSnapshot({ name: "s", volumeId });
    csi.answers.deleteVolume = fails("FAILED_PRECONDITION", "it has snapshots");
    await facet.operations.revertToSnapshot({ volumeId, snapshotId });
    expect((await storage.getVolume({ volumeId })).name).toBe("disk");
    delete csi.answers.deleteVolume;
    csi.taken();
    await facet.operations.deleteSnapshot({ snapshotId });
    expect(csi.taken()).toEqual(["controller.deleteSnapshot", "controller.deleteVolume"]);
  });

  test("whose deletion has begun is not there any more, and the next opening ends it; one that the driver keeps is there", async () => {
    const csi = await driver();
    const storage = await open();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    const facet = await storage.facet("snapshots");
    if (!facet.available) throw new Error(facet.reason);
    const snapshots = facet.operations;
    const { snapshotId } = await snapshots.createSnapshot({ name: "golden", volumeId });
    csi.answers.deleteSnapshot = fails("FAILED_PRECONDITION", "it has clones");
    await expect(snapshots.deleteSnapshot({ snapshotId })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await snapshots.getSnapshot({ snapshotId })).toMatchObject({ name: "golden" });
    // Nobody knows whether it is gone.
    csi.answers.deleteSnapshot = fails("INTERNAL", "the answer was lost");
    await expect(snapshots.deleteSnapshot({ snapshotId })).rejects.toMatchObject({ code: "INTERNAL" });
    await expect(snapshots.getSnapshot({ snapshotId })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await snapshots.listSnapshots({})).items).toEqual([]);
    await expect(snapshots.attachSnapshot({ snapshotId, host: "host-1" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    delete csi.answers.deleteSnapshot;
    csi.taken();
    await open();
    expect(csi.taken()).toContain("controller.deleteSnapshot");
    expect(await recorded()).not.toContain("golden");
  });
});

describe("a driver", () => {
  test("gets secrets by reference, and they are in no record", async () => {
    const csi = await driver();
    const storage = await open({ secrets: { password: { name: "array-password" } } });
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: mib });
    await storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    for (const { name, request } of csi.calls.filter(({ request }) => "secrets" in request)) {
      expect(request.secrets, name).toEqual({ password: "hunter2" });
    }
    csi.answers.createVolume = fails("PERMISSION_DENIED", "wrong");
    const error = await storage.createVolume({ name: "b", capacityBytes: mib }).catch((thrown: Error) => thrown);
    const records = await recorded();
    expect(records).toContain("disk");
    expect(records + JSON.stringify(error)).not.toContain("hunter2");
  });

  test("that is not ready, or away, is unavailable; when it is back, it is asked again what it can", async () => {
    const csi = await driver();
    csi.answers.probe = () => ({ ready: { value: false } });
    const storage = await open();
    const input = { name: "disk", capacityBytes: mib };
    await expect(storage.createVolume(input)).rejects.toMatchObject({ reason: "VDC_CSI_NOT_READY", retryable: true });
    delete csi.answers.probe;
    await storage.createVolume(input);
    await csi.stop();
    await expect(storage.createVolume({ ...input, name: "b" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect((await storage.describe({ scope: {} })).facets.resize?.status).toBe("available");
    csi.answers["controller.getCapabilities"] = () => ({ capabilities: [{ rpc: { type: 1 } }] });
    await csi.start();
    expect((await storage.describe({ scope: {} })).facets.resize?.status).toBe("unavailable");
  });

  test("that hangs costs a call's time limit", async () => {
    const csi = await driver();
    const storage = await open({ callTimeoutMs: 100 });
    csi.answers.createVolume = () => new Promise(() => {});
    const made = storage.createVolume({ name: "disk", capacityBytes: mib });
    await expect(made).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED", retryable: true });
  });

  test("with topologies: hosts become what the driver must reach, and what it reaches becomes hosts", async () => {
    const csi = await driver("csi", { services: [1, 2] });
    const other = await driver("other");
    csi.answers.getInfo = () => ({ nodeId: "n-1", accessibleTopology: { segments: { zone: "a" } } });
    other.answers.getInfo = () => ({ nodeId: "n-2", accessibleTopology: { segments: { zone: "b" } } });
    const storage = await open({
      nodes: [{ host: "host-1" }, { host: "host-2", endpoint: { socket: socketOf("other") } }],
    });
    csi.answers.createVolume = ({ name }: { readonly name: string }) => ({
      volume: { volumeId: name, accessibleTopology: [{ segments: { zone: "b" } }] },
    });
    const input = { name: "disk", capacityBytes: mib };
    const made = await storage.createVolume({ ...input, accessibleHosts: ["host-2"] });
    expect(made.accessibleHosts).toEqual(["host-2"]);
    const asked = csi.calls.find(({ name }) => name === "controller.createVolume")?.request;
    expect(asked?.accessibilityRequirements).toMatchObject({ requisite: [{ segments: { zone: "b" } }] });
    const { volumeId } = made;
    const attach = storage.attachVolume({ volumeId, host: "host-1", access: "readWrite", generation: 1 });
    await expect(attach).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    const unknown = storage.createVolume({ name: "b", capacityBytes: mib, accessibleHosts: ["elsewhere"] });
    await expect(unknown).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });
});
