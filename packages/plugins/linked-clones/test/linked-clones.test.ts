import { createOperationContext } from "@vdc-os/core";
import { describe, expect, it } from "vitest";
import { cutting } from "./cutting-handle.ts";
import { keysOf, mib, openDatacenter, reopened, type TestDatacenter, temporaryFolder } from "./test-datacenter.ts";

async function facets(datacenter: TestDatacenter) {
  const clones = await datacenter.clones.facet("clones");
  const lineage = await datacenter.clones.facet("lineage");
  if (!clones.available || !lineage.available) throw new Error("the facets are absent");
  return { clones: clones.operations, lineage: lineage.operations };
}

const volumeOf = (volumeId: string) => ({ kind: "volume", volumeId }) as const;

describe("linked clones", () => {
  it("clones, keeps a deleted parent for its children, and removes it with the last", async () => {
    using folder = temporaryFolder();
    await using datacenter = await openDatacenter(folder.path);
    const { clones, lineage } = await facets(datacenter);
    const parent = await datacenter.clones.createVolume({ name: "base", capacityBytes: 64 * mib });
    const one = await clones.cloneVolume({ name: "one", source: volumeOf(parent.volumeId), want: "linked" });
    expect(one).toMatchObject({ kind: "linked", depth: 2, volume: { name: "one", capacityBytes: 64 * mib } });
    expect(await clones.cloneVolume({ name: "one", source: volumeOf(parent.volumeId), want: "linked" })).toEqual(one);
    await expect(
      clones.cloneVolume({ name: "one", source: volumeOf(parent.volumeId), want: "full" }),
    ).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    const two = await clones.cloneVolume({ name: "two", source: volumeOf(one.volume.volumeId), want: "any" });
    expect(two.depth).toBe(3);
    await datacenter.clones.deleteVolume({ volumeId: parent.volumeId });
    await expect(datacenter.clones.getVolume({ volumeId: parent.volumeId })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect(await lineage.getLineage({ volumeId: parent.volumeId })).toMatchObject({
      tombstoned: true,
      children: [one.volume.volumeId],
    });
    const next = await datacenter.clones.createVolume({ name: "base", capacityBytes: mib });
    expect(next.volumeId).not.toBe(parent.volumeId);
    await datacenter.clones.deleteVolume({ volumeId: one.volume.volumeId });
    expect((await lineage.lineageTree({})).map(({ name, depth, tombstoned }) => [name, depth, tombstoned])).toEqual(
      expect.arrayContaining([
        ["base", 1, true],
        ["one", 2, true],
        ["two", 3, false],
      ]),
    );
    const alone = await lineage.flatten({ volumeId: two.volume.volumeId });
    expect(alone.parent).toBeUndefined();
    expect((await datacenter.base.listVolumes({})).items).toHaveLength(2);
    expect((await datacenter.clones.listVolumes({})).items.map(({ name }) => name)).toEqual(["base", "two"]);
    expect((await keysOf(datacenter)).filter((key) => /^(pending|tombstones|children)/.test(key))).toEqual([]);
  });

  it("makes full clones, which share nothing", async () => {
    using folder = temporaryFolder();
    await using datacenter = await openDatacenter(folder.path);
    const { clones } = await facets(datacenter);
    const source = await datacenter.clones.createVolume({ name: "base", capacityBytes: 8 * mib });
    const full = await clones.cloneVolume({
      name: "full",
      source: volumeOf(source.volumeId),
      want: "full",
      capacityBytes: 16 * mib,
    });
    expect(full).toMatchObject({ kind: "full", depth: 1, sharedBytes: 0, volume: { capacityBytes: 16 * mib } });
    await datacenter.clones.deleteVolume({ volumeId: source.volumeId });
    expect((await datacenter.base.listVolumes({})).items).toHaveLength(1);
  });

  it("makes one volume of many equal calls", async () => {
    using folder = temporaryFolder();
    await using datacenter = await openDatacenter(folder.path);
    const { clones } = await facets(datacenter);
    const source = await datacenter.clones.createVolume({ name: "base", capacityBytes: 8 * mib });
    const made = await Promise.all(
      Array.from({ length: 8 }, () =>
        clones.cloneVolume({ name: "clone", source: volumeOf(source.volumeId), want: "linked" }),
      ),
    );
    expect(new Set(made.map(({ volume }) => volume.volumeId)).size).toBe(1);
    expect((await datacenter.base.listVolumes({})).items).toHaveLength(2);
  });

  it("finishes or undoes what was cut short at any step", async () => {
    using folder = temporaryFolder();
    await using datacenter = await openDatacenter(folder.path);
    const source = await datacenter.clones.createVolume({ name: "base", capacityBytes: 8 * mib });
    const context = createOperationContext();
    // After each number of calls to the store and the provider underneath, everything stops.
    for (let calls = 1; calls < 60; calls++) {
      const left = { calls };
      const cut = { base: cutting(datacenter.base, left), state: cutting(datacenter.state, left) };
      const names = { clone: `clone${calls}`, full: `full${calls}` };
      let complete = false;
      try {
        const provider = await reopened({ ...datacenter, state: cut.state } as TestDatacenter, cut.base);
        const { clones, lineage } = provider.facets;
        const from = { source: volumeOf(source.volumeId), want: "linked" } as const;
        const middle = await clones.cloneVolume({ name: names.clone, ...from }, context);
        const leaf = await clones.cloneVolume(
          { name: names.full, source: volumeOf(middle.volume.volumeId), want: "linked" },
          context,
        );
        await provider.deleteVolume({ volumeId: middle.volume.volumeId }, context);
        await lineage.flatten({ volumeId: leaf.volume.volumeId }, context);
        await provider.deleteVolume({ volumeId: leaf.volume.volumeId }, context);
        complete = true;
      } catch (error) {
        expect(error).toMatchObject({ code: "UNAVAILABLE" });
      }
      const after = await reopened(datacenter);
      const known = await after.facets.lineage.lineageTree({}, context);
      const below = (await datacenter.base.listVolumes({})).items.map(({ volumeId }) => volumeId);
      expect(new Set(known.map(({ volumeId }) => volumeId))).toEqual(new Set(below));
      expect((await keysOf(datacenter)).filter((key) => key.startsWith("pending"))).toEqual([]);
      // The ends of names that the plugin itself has reserved stay; those of the one that was cut short went.
      expect((await keysOf(datacenter)).filter((key) => key.startsWith("tickets")).length).toBeLessThanOrEqual(1);
      for (const { volumeId, tombstoned, children } of known) {
        if (tombstoned) expect(children).not.toEqual([]);
        else if (volumeId !== source.volumeId) await after.deleteVolume({ volumeId }, context);
      }
      expect((await datacenter.base.listVolumes({})).items).toHaveLength(1);
      if (complete) return;
    }
    throw new Error("the calls never completed");
  });
});
