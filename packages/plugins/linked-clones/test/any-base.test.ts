import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type Description, isVdcError } from "@vdc-os/core";
import { Kernel, use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { reflink } from "@vdc-os/plugin-reflink";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { connectTo, createTestPool, mib } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { MemoryStorageProvider } from "@vdc-os/ready/storage";
import { mountFileSystem } from "@vdc-os/testing";
import { describe, expect, it } from "vitest";
import linkedClones from "../src/plugin.ts";
import { without } from "./other-bases.ts";
import { handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();

/** Tries until the provider is not busy any more with what was given up. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + 10_000; ; ) {
    try {
      return await call();
    } catch (error) {
      if (!isVdcError(error, "ABORTED") || Date.now() > until) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function described(lacks: readonly string[]): Promise<Description> {
  await using handles = await handlesOn(without(new MemoryStorageProvider(), lacks));
  return (await openOn(handles)).describe({ scope: {} }, context);
}

function overReflink(folder: string): Kernel {
  return new Kernel({
    plugins: [
      use(sqliteStateStore, { config: { directory: join(folder, "state") } }),
      use(reflink, { config: { name: "files", directory: join(folder, "pool") } }),
      use(linkedClones, { config: { name: "clones", base: "files" } }),
    ],
  });
}

describe("over any provider", () => {
  it("says of each facet what is missing underneath, and why", async () => {
    expect((await described([])).facets).toMatchObject({
      clones: { status: "available", limits: { online: true, sources: ["volume", "snapshot"] } },
      lineage: { status: "available", limits: { promote: "copies" } },
      snapshots: { status: "available" },
      groupSnapshots: { status: "available" },
      migrate: { status: "available" },
      layering: { status: "unavailable", reason: expect.stringContaining("facet 'clones'") },
    });
    expect((await described(["snapshots"])).facets).toMatchObject({
      clones: {
        limits: { online: false, sources: ["volume"] },
        evidence: expect.stringContaining("has no facet 'snapshots': it is left out"),
      },
      snapshots: { status: "unavailable", reason: "it is left out" },
    });
    expect((await described(["layering"])).facets).toMatchObject({
      clones: { status: "available", evidence: expect.stringContaining("passed on") },
      lineage: { status: "unavailable", reason: expect.stringContaining("'layering': it is left out") },
    });
    const bare = (await described(["layering", "clones"])).facets;
    for (const facet of ["clones", "lineage"]) {
      expect(bare[facet]).toMatchObject({ status: "unavailable", reason: expect.stringContaining("nor has it") });
    }
  });

  it("passes clones that share blocks by themselves on, and says that they are no linked ones", async ({ skip }) => {
    const system = mountFileSystem("xfs", 320 * mib);
    if (system === undefined) return skip();
    const kernel = overReflink(system.directory);
    try {
      await kernel.start();
      const provider = kernel.get(storageProvider, "clones");
      const [clones, lineage] = [await provider.facet("clones"), await provider.facet("lineage")];
      if (!clones.available) throw new Error(clones.reason);
      expect(clones.limits.kinds).toEqual(["reflink", "full"]);
      expect(lineage).toMatchObject({ available: false, reason: expect.stringContaining("through the file system") });
      const { volumeId } = await provider.createVolume({ name: "base", capacityBytes: 8 * mib });
      await provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 });
      const input = { name: "clone", source: { kind: "volume", volumeId }, want: "linked" } as const;
      const clone = await clones.operations.cloneVolume(input);
      expect(clone).toMatchObject({ kind: "reflink", depth: 1, volume: { name: "clone" } });
      expect(await clones.operations.cloneVolume(input)).toEqual(clone);
      await provider.detachVolume({ volumeId, host: "host-a", generation: 1 });
      // It shares with nobody that would have to stay.
      await provider.deleteVolume({ volumeId });
      expect((await provider.listVolumes({})).items.map(({ name }) => name)).toEqual(["clone"]);
      expect((await kernel.get(storageProvider, "files").listVolumes({})).items).toHaveLength(1);
    } finally {
      await kernel.stop();
      system.remove();
    }
  });

  it("has volumes where there are no clones at all, and says why", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vdc-clones-"));
    const kernel = overReflink(folder);
    try {
      await kernel.start();
      const provider = kernel.get(storageProvider, "clones");
      const clones = await provider.facet("clones");
      // On a file system that shares blocks they are there.
      if (!clones.available) expect(clones.reason).toContain("FICLONE");
      const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes: mib });
      expect(await provider.getVolume({ volumeId })).toMatchObject({ name: "disk" });
    } finally {
      await kernel.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a flatten", () => {
  it("reports how far it is, loses nothing when it is given up, and goes on while the clone is written", async () => {
    await using test = await createTestPool("here");
    await using handles = await handlesOn(test.provider);
    const provider = await openOn(handles);
    const { clones, lineage } = provider.facets;
    const parent = await provider.createVolume({ name: "parent", capacityBytes: 64 * mib }, context);
    const write = async (volumeId: string, value: number, count: number) => {
      const input = { volumeId, host: "host-a", access: "readWrite", generation: value } as const;
      const attachment = await provider.attachVolume(input, context);
      const client = await connectTo(attachment);
      for (let at = 0; at < count; at++) await client.write(Buffer.alloc(mib, value), at * mib);
      await client.flush();
      await client.close();
      await provider.detachVolume(attachment, context);
    };
    await write(parent.volumeId, 1, 48);
    const source = { kind: "volume", volumeId: parent.volumeId } as const;
    const { volume, sharedBytes } = await clones.cloneVolume({ name: "clone", source, want: "linked" }, context);
    expect(sharedBytes).toBeGreaterThanOrEqual(48 * mib);
    expect(sharedBytes).toBeLessThan(49 * mib);
    const { volumeId } = volume;
    await provider.deleteVolume({ volumeId: parent.volumeId }, context);

    const giveUp = new AbortController();
    const fractions: number[] = [];
    const watched = createOperationContext({
      signal: giveUp.signal,
      onProgress: ({ fraction = 0 }) => {
        fractions.push(fraction);
        giveUp.abort();
      },
    });
    await expect(lineage.flatten({ volumeId }, watched)).rejects.toMatchObject({ code: "CANCELLED" });
    expect(fractions.length).toBeGreaterThan(0);
    expect(await lineage.getLineage({ volumeId }, context)).toMatchObject({
      parentVolumeId: parent.volumeId,
      depth: 2,
    });
    const attachment = await again(() =>
      provider.attachVolume({ volumeId, host: "host-a", access: "readWrite", generation: 1 }, context),
    );
    const client = await connectTo(attachment);
    const flattening = lineage.promote({ volumeId }, context);
    await client.write(Buffer.alloc(4096, 9), 5 * mib);
    await flattening;
    const data = Buffer.alloc(8192);
    await client.read(data, 5 * mib);
    expect([data[0], data[4096]]).toEqual([9, 1]);
    await client.close();
    await provider.detachVolume(attachment, context);
    expect((await handles.state.list({ prefix: "linked-clones/clones/pending/" })).entries).toEqual([]);
    expect((await test.provider.listVolumes({}, context)).items.map((only) => only.volumeId)).toEqual([volumeId]);
  });
});

describe("a full clone", () => {
  it("that is given up leaves nothing, also where the copy underneath takes a while to end", async () => {
    await using test = await createTestPool("here");
    await using handles = await handlesOn(test.provider);
    const provider = await openOn(handles);
    const { volumeId } = await provider.createVolume({ name: "running", capacityBytes: 64 * mib }, context);
    const attachment = await provider.attachVolume(
      { volumeId, host: "host-a", access: "readWrite", generation: 1 },
      context,
    );
    const client = await connectTo(attachment);
    for (let at = 0; at < 48; at++) await client.write(Buffer.alloc(mib, 1), at * mib);
    await client.flush();
    await client.close();
    const giveUp = new AbortController();
    const watched = createOperationContext({ signal: giveUp.signal, onProgress: () => giveUp.abort() });
    const source = { kind: "volume", volumeId } as const;
    await expect(
      provider.facets.clones.cloneVolume({ name: "copy", source, want: "full" }, watched),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    const left = async (): Promise<number> => {
      const snapshots = await test.provider.facets.snapshots.listSnapshots({}, context);
      const pending = await handles.state.list({ prefix: "linked-clones/clones/pending/" });
      const volumes = await test.provider.listVolumes({}, context);
      return snapshots.items.length + pending.entries.length + volumes.items.length - 1;
    };
    await expect.poll(left, { timeout: 20_000 }).toBe(0);
    expect((await provider.listVolumes({}, context)).items.map(({ name }) => name)).toEqual(["running"]);
    await provider.close();
  });
});
