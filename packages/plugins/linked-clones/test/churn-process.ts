// The plugins on a folder, cloning and deleting until they are killed. Says on its output what was acknowledged.
import { openDatacenter } from "./test-datacenter.ts";

const [folder = "", run = ""] = process.argv.slice(2);
const datacenter = await openDatacenter(folder);
const clones = await datacenter.clones.facet("clones");
const lineage = await datacenter.clones.facet("lineage");
const snapshots = await datacenter.clones.facet("snapshots");
if (!clones.available || !lineage.available || !snapshots.available) throw new Error("the facets are absent");
const { operations: cloning } = clones;
const { operations: family } = lineage;
const { operations: moments } = snapshots;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function remove(volumeId: string): Promise<void> {
  say(`deleting ${volumeId}`);
  await datacenter.clones.deleteVolume({ volumeId });
  say(`deleted ${volumeId}`);
}

async function churn(lane: number): Promise<void> {
  for (let step = 0; ; step++) {
    const name = `v-${run}-${lane}-${step}`;
    const root = await datacenter.clones.createVolume({ name, capacityBytes: 1024 * 1024 });
    say(`made ${root.volumeId}`);
    const clone = async (suffix: string, volumeId: string, want: "linked" | "full"): Promise<string> => {
      const source = { kind: "volume", volumeId } as const;
      const { volume } = await cloning.cloneVolume({ name: `${name}-${suffix}`, source, want });
      say(`made ${volume.volumeId}`);
      return volume.volumeId;
    };
    const middle = await clone("m", root.volumeId, "linked");
    const leaf = await clone("l", middle, "linked");
    await clone("f", leaf, "full");
    const { snapshotId } = await moments.createSnapshot({ name, volumeId: leaf });
    say(`took ${snapshotId}`);
    const source = { kind: "snapshot", snapshotId } as const;
    const { volume } = await cloning.cloneVolume({ name: `${name}-s`, source, want: "linked" });
    say(`made ${volume.volumeId}`);
    if (step % 3 !== 0) await remove(volume.volumeId);
    say(`dropping ${snapshotId}`);
    await moments.deleteSnapshot({ snapshotId });
    say(`dropped ${snapshotId}`);
    await remove(root.volumeId);
    await remove(middle);
    if (step % 2 === 0) await family.flatten({ volumeId: leaf });
    else await remove(leaf);
  }
}

await Promise.all([0, 1].map(churn));
