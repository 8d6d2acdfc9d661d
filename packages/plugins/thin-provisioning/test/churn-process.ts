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
  for (let step = 0; ; step++) {
    const name = `v-${run}-${lane}-${step}`;
    const parent = await provider.createVolume({ name, capacityBytes: mib }, context());
    say(`made ${parent.volumeId}`);
    const child = await provider.facets.layering.createOverlay(
      { name: `${name}-o`, parent: { kind: "volume", volumeId: parent.volumeId } },
      context(),
    );
    say(`made ${child.volumeId}`);
    if (step % 3 === 0) continue;
    await provider.facets.layering.copyUp({ volumeId: child.volumeId }, context());
    await provider.facets.resize.resizeVolume({ volumeId: child.volumeId, capacityBytes: 2 * mib }, context());
    say(`deleting ${parent.volumeId}`);
    await provider.deleteVolume({ volumeId: parent.volumeId }, context());
    say(`deleted ${parent.volumeId}`);
  }
}

await Promise.all([0, 1, 2].map(churn));
