import type { ChangedBlocksFacet, Extent, StorageProvider } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockOf,
  create,
  detach,
  limitsOf,
  mib,
  type StorageRequirement,
  type StorageTest,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

const blockBytes = 4096;

async function checkpointOf(test: StorageTest, volumeId: string, name: string): Promise<string> {
  return (await test.facet("changedBlocks").createCheckpoint({ volumeId, name }, test.operation())).checkpoint;
}

interface Changes {
  readonly provider?: StorageProvider;
  readonly startingOffset?: number;
}

/** What changed since a checkpoint. Fails unless the extents come in order, without overlap, within the volume. */
async function changesSince(test: StorageTest, volumeId: string, since: string, more: Changes = {}): Promise<Extent[]> {
  const { provider = test.provider, ...from } = more;
  const facet = provider.facets?.changedBlocks as ChangedBlocksFacet;
  const { capacityBytes } = await provider.getVolume({ volumeId }, test.operation());
  return inOrder(facet.changedExtents({ volumeId, since, ...from }, test.operation()), capacityBytes);
}

async function inOrder(extents: AsyncIterable<Extent>, capacityBytes: number): Promise<Extent[]> {
  const taken: Extent[] = [];
  let end = 0;
  for await (const extent of extents) {
    must(extent.offset >= end, `extents must come in order of offset, and one at ${extent.offset} follows ${end}`);
    must(extent.length > 0, "an extent must have bytes");
    end = extent.offset + extent.length;
    must(end <= capacityBytes, `an extent must lie within the ${capacityBytes} bytes, and one ends at ${end}`);
    taken.push(extent);
  }
  return taken;
}

const covers = (extents: readonly Extent[], block: number): boolean =>
  extents.some(({ offset, length }) => offset <= block * blockBytes && offset + length >= (block + 1) * blockBytes);

function mustCover(extents: readonly Extent[], blocks: readonly number[], what: string): void {
  const missed = blocks.filter((block) => !covers(extents, block));
  must(
    missed.length === 0,
    `${what} must be reported, and blocks ${missed.join(", ")} are missing: a backup would miss them`,
  );
}

/** Facet `changedBlocks`. */
export const changedBlockRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.changed-blocks.superset",
    title: "all that was written since a checkpoint is reported, zeroes too, and each checkpoint has its own",
    clause:
      "ChangedBlocksFacet: Never misses a change; may report what did not change. Several checkpoints are independent of each other.",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 1: 1, 500: 1 });
      const first = await checkpointOf(test, volumeId, "first");
      await writeBlocks(test, volumeId, 2, { 1: 0, 40: 2, 1023: 2 });
      const second = await checkpointOf(test, volumeId, "second");
      await writeBlocks(test, volumeId, 3, { 0: 3, 700: 3 });
      mustCover(await changesSince(test, volumeId, first), [0, 1, 40, 700, 1023], "what was written since the first");
      mustCover(await changesSince(test, volumeId, second), [0, 700], "what was written since the second");
      const facet = test.facet("changedBlocks");
      await facet.deleteCheckpoint({ volumeId, checkpoint: first }, test.operation());
      await writeBlocks(test, volumeId, 4, { 300: 4 });
      const changes = await changesSince(test, volumeId, second);
      mustCover(changes, [0, 300, 700], "what was written since the second, after the first was deleted");
      const granularity = Number(limitsOf(test, "changedBlocks").granularityBytes ?? 0);
      must(granularity > 0, "limits must name the granularity");
      const told = changes.reduce((sum, { length }) => sum + length, 0);
      must(
        told <= 3 * Math.max(granularity, blockBytes),
        `three blocks changed, in units of ${granularity}: ${told} bytes are too many`,
      );
    },
  },
  {
    id: "storage.changed-blocks.attached",
    title: "a checkpoint of an attached volume tracks from the moment it is there",
    clause: "createCheckpoint: whatever was written after it returns is reported, also while the volume is attached.",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await whileWritten(test, volumeId, 1, async (client) => {
        await client.write(0, blockOf(1));
        const checkpoint = await checkpointOf(test, volumeId, "live");
        for (const block of [3, 200, 1000]) await client.write(block * blockBytes, blockOf(2));
        mustCover(
          await changesSince(test, volumeId, checkpoint),
          [3, 200, 1000],
          "what an owner wrote and did not flush",
        );
        await client.flush();
        mustCover(await changesSince(test, volumeId, checkpoint), [3, 200, 1000], "what an owner wrote");
      });
    },
  },
  {
    id: "storage.changed-blocks.starting-offset",
    title: "changes can be read on from an offset, and not from beyond the end",
    clause: "changedExtents, allocatedExtents: startingOffset; errors OUT_OF_RANGE",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const since = await checkpointOf(test, volumeId, "start");
      await writeBlocks(test, volumeId, 1, { 0: 1, 256: 1, 512: 1, 1023: 1 });
      for (const block of [0, 256, 257, 1023]) {
        const startingOffset = block * blockBytes;
        const extents = await changesSince(test, volumeId, since, { startingOffset });
        must((extents[0]?.offset ?? startingOffset) >= startingOffset, `nothing before ${startingOffset} may be told`);
        mustCover(
          extents,
          [0, 256, 512, 1023].filter((written) => written >= block),
          `what is behind ${startingOffset}`,
        );
      }
      mustEqual(await changesSince(test, volumeId, since, { startingOffset: 4 * mib }), [], "what is behind the end");
      const facet = test.facet("changedBlocks");
      const beyond = { volumeId, startingOffset: 4 * mib + 1 };
      const changed = inOrder(facet.changedExtents({ ...beyond, since }, test.operation()), 4 * mib);
      await mustReject(changed, "OUT_OF_RANGE", "changes from beyond the end");
      const allocated = inOrder(facet.allocatedExtents(beyond, test.operation()), 4 * mib);
      await mustReject(allocated, "OUT_OF_RANGE", "what is allocated beyond the end");
    },
  },
  {
    id: "storage.changed-blocks.checkpoints",
    title: "checkpoints are listed oldest first, made once for a name, and gone when deleted",
    clause:
      "listCheckpoints: The live checkpoints of a volume, oldest first. createCheckpoint: Repeating it with the name of a live checkpoint returns that one.",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("changedBlocks");
      const names = async () => (await facet.listCheckpoints({ volumeId }, test.operation())).map(({ name }) => name);
      mustEqual(await names(), [], "the checkpoints of a new volume");
      const first = await checkpointOf(test, volumeId, "z-first");
      await writeBlocks(test, volumeId, 1, { 5: 5 });
      await checkpointOf(test, volumeId, "a-second");
      mustEqual(await checkpointOf(test, volumeId, "z-first"), first, "a repeated checkpoint");
      mustCover(await changesSince(test, volumeId, first), [5], "what was written before a checkpoint was repeated");
      mustEqual(await names(), ["z-first", "a-second"], "the checkpoints, oldest first");
      await facet.deleteCheckpoint({ volumeId, checkpoint: first }, test.operation());
      await facet.deleteCheckpoint({ volumeId, checkpoint: first }, test.operation());
      mustEqual(await names(), ["a-second"], "the checkpoints after a delete");
      await mustReject(changesSince(test, volumeId, first), "NOT_FOUND", "changes since a deleted checkpoint");
      await mustReject(checkpointOf(test, "never-was", "x"), "NOT_FOUND", "a checkpoint of an absent volume");
    },
  },
  {
    id: "storage.changed-blocks.allocated",
    title: "what was written is allocated, and what holds data is not told as zeroes",
    clause:
      "allocatedExtents: What is allocated, in order of offset. Extent.zero: Whether it holds data, or reads as zeroes.",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 300: 2, 1023: 3 });
      const extents = await inOrder(
        test.facet("changedBlocks").allocatedExtents({ volumeId }, test.operation()),
        4 * mib,
      );
      mustCover(
        extents.filter(({ zero }) => !zero),
        [0, 300, 1023],
        "what holds data",
      );
    },
  },
  {
    id: "storage.changed-blocks.restart",
    title: "after a kill changes are still complete, or it is said that they are not",
    clause:
      "Limits: `survivesCrash`. Checkpoint.intact: False when tracking was broken since. changedExtents: `FAILED_PRECONDITION` when tracking was broken: take a full copy.",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const first = await checkpointOf(test, volumeId, "first");
      await writeBlocks(test, volumeId, 1, { 2: 1 });
      const second = await checkpointOf(test, volumeId, "second");
      await writeBlocks(test, volumeId, 2, { 900: 2 });
      const provider = await test.wrap(await test.instance.reopen());
      await mustSurvive(test, provider, volumeId, [
        [first, [2, 900]],
        [second, [900]],
      ]);
    },
  },
  {
    id: "storage.changed-blocks.killed",
    title:
      "after the storage process was killed while it was written to, changes are still complete, or it is said that they are not",
    clause: "ChangedBlocksFacet: Never misses a change. Limits: `survivesCrash`",
    level: "extended",
    facet: "changedBlocks",
    async run(test) {
      const kill = test.instance.killStorageProcess?.bind(test.instance);
      if (kill === undefined) return test.skip("the factory gives no way to kill the storage process");
      const { volumeId } = await create(test, "disk");
      const attachment = await attach(test, volumeId, 1);
      const client = await test.instance.openTransport(attachment.transport);
      const first = await checkpointOf(test, volumeId, "first");
      await client.write(7 * blockBytes, blockOf(1));
      const second = await checkpointOf(test, volumeId, "second");
      await client.write(800 * blockBytes, blockOf(1));
      await client.flush();
      await client.write(801 * blockBytes, blockOf(1));
      await kill(attachment);
      await client.close();
      await detach(test, attachment);
      await writeBlocks(test, volumeId, 2, { 1000: 2 });
      await mustSurvive(test, test.provider, volumeId, [
        [first, [7, 800, 1000]],
        [second, [800, 1000]],
      ]);
    },
  },
];

async function mustSurvive(
  test: StorageTest,
  provider: StorageProvider,
  volumeId: string,
  expected: readonly (readonly [string, readonly number[]])[],
): Promise<void> {
  const listed = await provider.facets?.changedBlocks?.listCheckpoints({ volumeId }, test.operation());
  for (const [checkpoint, blocks] of expected) {
    const found = listed?.find((item) => item.checkpoint === checkpoint);
    must(found !== undefined, `checkpoint '${checkpoint}' must be there after a kill`);
    if (limitsOf(test, "changedBlocks").survivesCrash === true) {
      must(found.intact, `checkpoint '${found.name}' must be intact after a kill: 'survivesCrash' says so`);
    }
    const changes = changesSince(test, volumeId, checkpoint, { provider });
    if (found.intact) mustCover(await changes, blocks, `what was written since '${found.name}', after a kill`);
    else await mustReject(changes, "FAILED_PRECONDITION", "changes that can't be told any more");
  }
}
