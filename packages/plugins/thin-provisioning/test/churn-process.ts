// A pool that makes and deletes volumes until it is killed, and says on its output what was acknowledged.
import { context, mib } from "./test-pool.ts";
import { hostsOf } from "./test-host.ts";
import { ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";

const [directory = "", run = ""] = process.argv.slice(2);
const pool = await ThinPool.open({ name: "fast", directory, hosts: hostsOf([]), maxOverSubscription: 1000 });
const provider = new ThinStorageProvider(pool);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function churn(lane: number): Promise<void> {
  const { layering, resize } = provider.facets;
  for (let step = 0; ; step++) {
    const name = `v-${run}-${lane}-${step}`;
    const parent = await provider.createVolume({ name, capacityBytes: mib }, context());
    say(`made ${parent.volumeId}`);
    const child = await layering.createOverlay(
      { name: `${name}-o`, parent: { kind: "volume", volumeId: parent.volumeId } },
      context(),
    );
    say(`made ${child.volumeId}`);
    if (step % 3 === 0) continue;
    await layering.copyUp({ volumeId: child.volumeId }, context());
    await resize.resizeVolume({ volumeId: child.volumeId, capacityBytes: 2 * mib }, context());
    say(`deleting ${parent.volumeId}`);
    await provider.deleteVolume({ volumeId: parent.volumeId }, context());
    say(`deleted ${parent.volumeId}`);
  }
}

async function churnSnapshots(): Promise<void> {
  const { layering, snapshots, groupSnapshots } = provider.facets;
  for (let step = 0; ; step++) {
    const name = `s-${run}-${step}`;
    const { volumeId } = await provider.createVolume({ name, capacityBytes: mib }, context());
    say(`made ${volumeId}`);
    const base = await snapshots.createSnapshot({ name: `${name}-a`, volumeId }, context());
    say(`made ${base.snapshotId}`);
    const upper = await snapshots.createSnapshot({ name: `${name}-b`, volumeId }, context());
    say(`made ${upper.snapshotId}`);
    await snapshots.revertToSnapshot({ volumeId, snapshotId: base.snapshotId }, context());
    const parent = { kind: "snapshot", snapshotId: upper.snapshotId } as const;
    const { volumeId: clone } = await layering.createOverlay({ name: `${name}-c`, parent }, context());
    say(`made ${clone}`);
    const volumeIds = [volumeId, clone];
    const group = await groupSnapshots.createGroupSnapshot({ name: `${name}-g`, volumeIds }, context());
    for (const { snapshotId } of group.snapshots) say(`made ${snapshotId}`);
    for (const snapshotId of [base.snapshotId, ...group.snapshots.map((one) => one.snapshotId)])
      say(`deleting ${snapshotId}`);
    await groupSnapshots.deleteGroupSnapshot({ groupSnapshotId: group.groupSnapshotId }, context());
    await snapshots.deleteSnapshot({ snapshotId: base.snapshotId }, context());
    for (const snapshotId of [base.snapshotId, ...group.snapshots.map((one) => one.snapshotId)])
      say(`deleted ${snapshotId}`);
  }
}

await Promise.all([churn(0), churn(1), churnSnapshots()]);
