import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  blockOf,
  type BlockClient,
  create,
  limitsOf,
  mustHold,
  mustRead,
  type StorageRequirement,
  type StorageTest,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

/** How long this many writes of a block take on the data path's clock, in milliseconds. */
async function timeOf(test: StorageTest, client: BlockClient, writes: number): Promise<number> {
  const now = (): number => test.instance.nowMs?.() ?? performance.now();
  const began = now();
  for (let block = 0; block < writes; block++) await client.write(block * 4096, blockOf(1));
  return now() - began;
}

const burst = 5;
const writes = 45;
const iops = 100;
/** A slow machine only takes longer: the least time is all that is held against a provider, less a tenth for its rounding. */
const leastMs = (0.9 * 1000 * (writes - burst)) / iops;

/** Facets `qos`, `discard` and `migrate`. */
export const qualityRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.qos.read-back",
    title: "the limits in force are those that were set, also after a detach and a kill; a new volume has none",
    clause:
      "QosFacet: stay until they are changed: after a detach and a restart too. getQos: All 0 for a volume that was never limited.",
    level: "extended",
    facet: "qos",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("qos");
      const none = await facet.getQos({ volumeId }, test.operation());
      mustEqual([none.iops, none.bytesPerSecond], [0, 0], "the limits of a new volume");
      for (const policy of [
        { iops: 500, bytesPerSecond: 0 },
        { iops: 0, bytesPerSecond: 2 ** 20 },
        { iops: 200, bytesPerSecond: 2 ** 21, burstOperations: 300, burstBytes: 2 ** 22 },
      ]) {
        await facet.setQos({ volumeId, policy }, test.operation());
        const found = await facet.getQos({ volumeId }, test.operation());
        mustEqual([found.iops, found.bytesPerSecond], [policy.iops, policy.bytesPerSecond], "the limits that were set");
      }
      await mustReject(facet.getQos({ volumeId: "never-was" }, test.operation()), "NOT_FOUND", "getQos");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const provider = await test.wrap(await test.instance.reopen());
      const kept = await provider.facets?.qos?.getQos({ volumeId }, test.operation());
      mustEqual([kept?.iops, kept?.bytesPerSecond], [200, 2 ** 21], "the limits after a detach and a restart");
    },
  },
  {
    id: "storage.qos.rate",
    title: "an owner gets no more operations in a time than the limit allows",
    clause: "QosFacet: A volume's limits hold for all that its owner does",
    level: "extended",
    facet: "qos",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const policy = { iops, bytesPerSecond: 0, burstOperations: burst };
      await test.facet("qos").setQos({ volumeId, policy }, test.operation());
      const elapsedMs = await whileWritten(test, volumeId, 1, (client) => timeOf(test, client, writes));
      must(
        elapsedMs >= leastMs,
        `${writes} writes at ${iops} a second with a burst of ${burst} must take ${leastMs} ms, and take ${Math.round(elapsedMs)}`,
      );
    },
  },
  {
    id: "storage.qos.live",
    title: "a limit holds for an owner that is connected already, and is lifted for it too",
    clause: "QosFacet: from the moment `setQos` returns, also for a present attachment",
    level: "extended",
    facet: "qos",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("qos");
      await whileWritten(test, volumeId, 1, async (client) => {
        await timeOf(test, client, writes);
        const policy = { iops, bytesPerSecond: 0, burstOperations: burst };
        await facet.setQos({ volumeId, policy }, test.operation());
        const limited = await timeOf(test, client, writes);
        must(
          limited >= leastMs,
          `${writes} writes under a limit must take ${leastMs} ms, and take ${Math.round(limited)}`,
        );
        await facet.setQos({ volumeId, policy: { iops: 0, bytesPerSecond: 0 } }, test.operation());
        const { iops: left } = await facet.getQos({ volumeId }, test.operation());
        mustEqual(left, 0, "the limit after it was lifted");
        await timeOf(test, client, writes);
      });
    },
  },
  {
    id: "storage.discard.guest",
    title: "what a guest gives up reads as zeroes, and its space can be had back",
    clause:
      "DiscardFacet: space that the guest gives up goes back to the pool. reclaim: Never changes what it reads as.",
    level: "extended",
    facet: "discard",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const blocks = Object.fromEntries(Array.from({ length: 512 }, (_, block) => [block, 5]));
      await writeBlocks(test, volumeId, 1, { ...blocks, 1000: 6 });
      const allocated = async () => (await test.provider.getVolume({ volumeId }, test.operation())).allocatedBytes;
      const before = await allocated();
      await whileWritten(test, volumeId, 2, async (client) => {
        const discard = client.discard?.bind(client);
        if (discard === undefined) return test.skip("the factory's client has no discard");
        await discard(0, 256 * 4096);
        await mustRead(client, { 0: 0, 255: 0, 256: 5 });
        await client.flush();
      });
      await test.facet("discard").reclaim({ volumeId }, test.operation());
      const after = await allocated();
      must(
        before - after >= 2 ** 19,
        `of 1 MiB that was given up half must be free at least, and ${before - after} are`,
      );
      await mustHold(test, volumeId, 3, { 0: 0, 255: 0, 256: 5, 511: 5, 1000: 6 });
    },
  },
  {
    id: "storage.discard.reclaim",
    title: "to reclaim changes nothing that is read, and takes nothing more",
    clause:
      "reclaim: Gives back what is unused in a volume: what reads as zeroes, or was discarded. Never changes what it reads as.",
    level: "extended",
    facet: "discard",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 1: 1, 600: 2 });
      await writeBlocks(test, volumeId, 2, { 1: 0 });
      const before = await test.provider.getVolume({ volumeId }, test.operation());
      const { reclaimedBytes } = await test.facet("discard").reclaim({ volumeId }, test.operation());
      const after = await test.provider.getVolume({ volumeId }, test.operation());
      must(after.allocatedBytes <= before.allocatedBytes, "a volume must not take more after it gave something back");
      must(reclaimedBytes <= before.allocatedBytes, "no more than was taken can be given back");
      await mustHold(test, volumeId, 3, { 0: 1, 1: 0, 600: 2 });
      await mustReject(
        test.facet("discard").reclaim({ volumeId: "never-was" }, test.operation()),
        "NOT_FOUND",
        "reclaim",
      );
    },
  },
  {
    id: "storage.migrate.pivot",
    title: "a volume that is written to while it is moved holds everything afterwards, under the same id",
    clause:
      "MigrateFacet: moves a volume to another pool while it is written to. pivotMigration: the volume keeps its id, content and attachment. Needs state `ready`.",
    level: "extended",
    facet: "migrate",
    async run(test) {
      const targetPool = targetOf(test);
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 9: 1 });
      const facet = test.facet("migrate");
      const early = facet.pivotMigration({ volumeId }, test.operation());
      await mustReject(early, "FAILED_PRECONDITION", "a pivot of a volume that is not being moved");
      await whileWritten(test, volumeId, 2, async (client) => {
        await facet.startMigration({ volumeId, targetPool }, test.operation());
        await facet.startMigration({ volumeId, targetPool }, test.operation());
        await client.write(0, blockOf(2));
        await untilReady(test, volumeId);
        await client.write(500 * 4096, blockOf(3));
        await facet.pivotMigration({ volumeId }, test.operation());
        await client.write(600 * 4096, blockOf(4));
        await mustRead(client, { 0: 2, 9: 1, 500: 3, 600: 4 });
      });
      await mustHold(test, volumeId, 3, { 0: 2, 9: 1, 500: 3, 600: 4 });
    },
  },
  {
    id: "storage.migrate.cancel",
    title: "a move that was cancelled leaves the volume where it was, whole, and can be begun again",
    clause:
      "cancelMigration: Leaves the volume where it was, whole, and nothing at the target. Without a move under way it succeeds.",
    level: "extended",
    facet: "migrate",
    async run(test) {
      const targetPool = targetOf(test);
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1 });
      const facet = test.facet("migrate");
      await facet.cancelMigration({ volumeId }, test.operation());
      await facet.startMigration({ volumeId, targetPool }, test.operation());
      await facet.cancelMigration({ volumeId }, test.operation());
      const status = facet.migrationStatus({ volumeId }, test.operation());
      await mustReject(status, "FAILED_PRECONDITION", "the status of a move that was cancelled");
      await writeBlocks(test, volumeId, 2, { 3: 3 });
      await mustHold(test, volumeId, 3, { 0: 1, 3: 3 });
      await facet.startMigration({ volumeId, targetPool }, test.operation());
      await untilReady(test, volumeId);
      await facet.pivotMigration({ volumeId }, test.operation());
      await mustHold(test, volumeId, 4, { 0: 1, 3: 3 });
    },
  },
];

function targetOf(test: StorageTest): string {
  const pools = limitsOf(test, "migrate").targetPools;
  const [first] = Array.isArray(pools) ? pools : [];
  must(typeof first === "string", "limits must name the pools that volumes can be moved to");
  return first;
}

async function untilReady(test: StorageTest, volumeId: string): Promise<void> {
  for (;;) {
    const { state, message } = await test.facet("migrate").migrationStatus({ volumeId }, test.operation());
    if (state === "ready") return;
    must(state === "syncing", `a move must be syncing or ready, and is '${state}': ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
