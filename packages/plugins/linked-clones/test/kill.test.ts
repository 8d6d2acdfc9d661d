import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestRandom } from "@vdc-os/core/testing";
import { killAfterLines } from "@vdc-os/testing";
import { expect, it } from "vitest";
import { keysOf, openDatacenter, temporaryFolder } from "./test-datacenter.ts";

const churn = fileURLToPath(new URL("./churn-process.ts", import.meta.url));

it("has after a kill at any moment what was acknowledged, and leaks nothing in the store or underneath", async () => {
  using folder = temporaryFolder();
  const random = createTestRandom(11);
  let kept = new Set<string>();
  const gone = new Set<string>();
  const taken = new Set<string>();
  const dropping = new Set<string>();
  const dropped = new Set<string>();
  for (let run = 0; run < (process.env.VDC_DEEP ? 40 : 4); run++) {
    const deleting = new Set<string>();
    for (const line of await killAfterLines(1 + Math.floor(random.next() * 60), churn, folder.path, String(run))) {
      const [what, volumeId = ""] = line.split(" ");
      if (what === "made") kept.add(volumeId);
      else if (what === "deleting") deleting.add(volumeId);
      else if (what === "deleted") gone.add(volumeId);
      else if (what === "took") taken.add(volumeId);
      else if (what === "dropping") dropping.add(volumeId);
      else dropped.add(volumeId);
    }
    await using datacenter = await openDatacenter(folder.path);
    const lineage = await datacenter.clones.facet("lineage");
    if (!lineage.available) throw new Error(lineage.reason);
    const tree = await lineage.operations.lineageTree({});
    const listed = new Set(
      (await datacenter.clones.listVolumes({ limit: 1000 })).items.map(({ volumeId }) => volumeId),
    );
    for (const volumeId of kept) {
      if (!deleting.has(volumeId) && !gone.has(volumeId)) expect(listed.has(volumeId)).toBe(true);
    }
    for (const volumeId of gone) expect(listed.has(volumeId)).toBe(false);
    expect(new Set(tree.filter(({ tombstoned }) => !tombstoned).map(({ volumeId }) => volumeId))).toEqual(listed);
    // Only what is listed, or kept for what is listed, takes space underneath.
    const below = (await datacenter.base.listVolumes({ limit: 1000 })).items.map(({ volumeId }) => volumeId);
    expect(new Set(below)).toEqual(new Set(tree.map(({ volumeId }) => volumeId)));
    const snapshots = await datacenter.clones.facet("snapshots");
    const snapshotsBelow = await datacenter.base.facet("snapshots");
    if (!snapshots.available || !snapshotsBelow.available) throw new Error("the facets are absent");
    const shown = (await snapshots.operations.listSnapshots({ limit: 1000 })).items.map(({ snapshotId }) => snapshotId);
    for (const id of taken) if (!dropping.has(id)) expect(shown).toContain(id);
    for (const id of dropped) expect(shown).not.toContain(id);
    // So do only the snapshots that are shown, or that clones read.
    const read = tree.flatMap((node) => node.snapshots ?? []).map(({ snapshotId }) => snapshotId);
    const takenBelow = (await snapshotsBelow.operations.listSnapshots({ limit: 1000 })).items;
    expect(new Set(takenBelow.map(({ snapshotId }) => snapshotId))).toEqual(new Set([...shown, ...read]));
    for (const { tombstoned, children } of tree) if (tombstoned) expect(children).not.toEqual([]);
    expect((await keysOf(datacenter)).filter((key) => key.startsWith("pending/"))).toEqual([]);
    expect(readdirSync(join(folder.path, "pool", "trash"))).toEqual([]);
    // The files of a volume that was not used yet come a little later.
    const folders = (): Set<string> => new Set(readdirSync(join(folder.path, "pool", "volumes")));
    await expect.poll(folders, { timeout: 20_000 }).toEqual(new Set(below));
    kept = listed;
  }
});
