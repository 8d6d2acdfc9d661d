import { storageAttributes } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockBytes,
  blockOf,
  create,
  detach,
  mib,
  mustHold,
  mustRead,
  type StorageRequirement,
  type StorageTest,
  writeBlocks,
} from "./storage-instance.ts";
import { stampOf } from "./volume-requirements.ts";

const names = ["a-1", "a-10", "a-2", "b", "c.d"];

async function pagesOf(test: StorageTest, limit: number): Promise<readonly (readonly string[])[]> {
  const pages: (readonly string[])[] = [];
  let pageToken: string | undefined;
  do {
    const input = pageToken === undefined ? { limit } : { limit, pageToken };
    const page = await test.provider.listVolumes(input, test.operation());
    pages.push(page.items.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && pages.length < 20);
  return pages;
}

/** Lists, and a pool's space. */
export const poolRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.list.paging",
    title: "pages hold every volume once, in order of name, and no more than was asked for",
    clause: "listVolumes: In order of name. PageRequest.limit: At most this many items.",
    level: "core",
    async run(test) {
      for (const name of [...names].reverse()) await create(test, name);
      for (const limit of [1, 2, names.length, 100]) {
        const pages = await pagesOf(test, limit);
        mustEqual(pages.flat(), names, `the names of pages of ${limit}`);
        must(
          pages.every((page) => page.length <= limit),
          `no page may have more than ${limit} items`,
        );
      }
    },
  },
  {
    id: "storage.list.changes",
    title: "a volume that is there throughout is on a page, whatever else comes and goes",
    clause: "PageRequest.pageToken: The token that the page before returned.",
    level: "core",
    async run(test) {
      const made = [];
      for (const name of names) made.push(await create(test, name));
      const first = await test.provider.listVolumes({ limit: 2 }, test.operation());
      must(first.nextPageToken !== undefined, "a list of 5 must go on after 2");
      await test.provider.deleteVolume({ volumeId: made[0]?.volumeId as string }, test.operation());
      await create(test, "a-0");
      const rest: string[] = [];
      let pageToken: string | undefined = first.nextPageToken;
      try {
        while (pageToken !== undefined) {
          const page: Awaited<ReturnType<typeof test.provider.listVolumes>> = await test.provider.listVolumes(
            { limit: 2, pageToken },
            test.operation(),
          );
          rest.push(...page.items.map(({ name }) => name));
          pageToken = page.nextPageToken;
        }
      } catch (error) {
        // A provider may say that the token is too old.
        await mustReject(Promise.reject(error), "ABORTED", "a list that goes on after a change");
        return;
      }
      mustEqual(rest, names.slice(first.items.length), "the names on the pages after the first");
    },
  },
  {
    id: "storage.list.token",
    title: "an unknown page token is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`",
    level: "core",
    async run(test) {
      await create(test, "disk");
      const call = test.provider.listVolumes({ pageToken: "no-such-token" }, test.operation());
      await mustReject(call, "ABORTED", "an unknown page token");
    },
  },
  {
    id: "storage.list.filter",
    title: "a list can be of one name, or of one datacenter",
    clause:
      "listVolumes: With `ownerDatacenter`, those that this datacenter stamped. With `name`, the one of that name.",
    level: "core",
    async run(test) {
      await create(test, "one", { owner: stampOf("dc-1") });
      await create(test, "two", { owner: stampOf("dc-2") });
      await create(test, "three");
      const list = async (input: { readonly name?: string; readonly ownerDatacenter?: string }) =>
        (await test.provider.listVolumes(input, test.operation())).items.map(({ name }) => name);
      mustEqual(await list({ name: "two" }), ["two"], "the list of a name");
      mustEqual(await list({ name: "tw" }), [], "the list of a name that nothing has");
      mustEqual(await list({ ownerDatacenter: "dc-1" }), ["one"], "the list of a datacenter");
      mustEqual(await list({ ownerDatacenter: "dc-3" }), [], "the list of a datacenter that owns nothing");
    },
  },
  {
    id: "storage.capacity.provisioned",
    title: "what is promised grows by a volume's size, and falls with it",
    clause: "PoolCapacity.provisionedBytes: The sum of the volumes' virtual sizes.",
    level: "core",
    async run(test) {
      const promised = async (): Promise<number> =>
        (await test.provider.capacity({}, test.operation())).provisionedBytes;
      const before = await promised();
      const { volumeId } = await create(test, "one");
      await create(test, "two", { capacityBytes: 8 * mib });
      mustEqual((await promised()) - before, 12 * mib, "what two volumes of 4 and 8 MiB promise");
      await test.provider.deleteVolume({ volumeId }, test.operation());
      mustEqual((await promised()) - before, 8 * mib, "what is promised after the first was deleted");
    },
  },
  {
    id: "storage.capacity.allocated",
    title: "what is written counts as allocated, in the volume and in the pool",
    clause: "Volume.allocatedBytes: What it takes in the pool now. PoolCapacity.allocatedBytes: What volumes take now.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, Object.fromEntries(Array.from({ length: 256 }, (_, block) => [block, 9])));
      const { allocatedBytes, exclusiveBytes } = await test.provider.getVolume({ volumeId }, test.operation());
      must(allocatedBytes >= mib, `a volume with 1 MiB written must take that, and takes ${allocatedBytes}`);
      mustEqual(exclusiveBytes, allocatedBytes, "what deleting a volume gives back that shares nothing");
      const pool = await test.provider.capacity({}, test.operation());
      must(pool.allocatedBytes >= allocatedBytes, `the pool must count that, and counts ${pool.allocatedBytes}`);
      must(pool.freeBytes <= pool.totalBytes, "a pool can't have more free than it has");
    },
  },
  {
    id: "storage.capacity.pool",
    title: "an unknown pool is not found",
    clause: "capacity: errors NOT_FOUND",
    level: "core",
    async run(test) {
      const call = test.provider.capacity({ pool: "no-such-pool" }, test.operation());
      await mustReject(call, "NOT_FOUND", "the capacity of an unknown pool");
    },
  },
  {
    id: "storage.capacity.over-subscription",
    title: "no more is promised than the pool says it may promise, by a create or a resize",
    clause:
      "PoolCapacity: a create or resize that would promise more than `(totalBytes - reservedBytes) * maxOverSubscription` fails with `RESOURCE_EXHAUSTED`",
    level: "core",
    async run(test) {
      const { totalBytes, reservedBytes, maxOverSubscription } = await test.provider.capacity({}, test.operation());
      if (maxOverSubscription === 0) return;
      const limit = Math.max(0, totalBytes - reservedBytes) * maxOverSubscription;
      const large = Math.ceil(limit / mib) * mib + mib;
      // Beyond what a size can be, or a format can hold, the limit is never reached.
      if (large >= 2 ** 52) return;
      const refusal = ["RESOURCE_EXHAUSTED", "OUT_OF_RANGE"] as const;
      await mustReject(create(test, "disk", { capacityBytes: large }), refusal, `a volume of ${large} bytes`);
      await create(test, "one");
      const { volumeId } = await create(test, "two");
      if (test.description.facets.resize?.status === "available") {
        const call = test.facet("resize").resizeVolume({ volumeId, capacityBytes: large }, test.operation());
        await mustReject(call, refusal, `a resize to ${large} bytes`);
      }
      const { provisionedBytes } = await test.provider.capacity({}, test.operation());
      mustEqual(provisionedBytes, 8 * mib, "what is promised after refusals");
    },
  },
  {
    id: "storage.capacity.full",
    title: "a pool that runs full says so, keeps what was acknowledged, and goes on when there is room again",
    clause: "CapacityAlarm: `outOfSpace`: writes that need new space fail now, or wait. StorageAttributes.outOfSpace",
    level: "extended",
    async run(test) {
      const { outOfSpace } = test.description.attributes;
      if (outOfSpace === undefined) {
        return test.notApplicable("the provider does not say what becomes of a write that finds no space");
      }
      const small = await test.instance.small?.();
      if (small === undefined) return test.skip("the factory gives no small pool");
      try {
        const provider = await test.wrap(small.implementation);
        const inSmall: StorageTest = { ...test, provider, instance: small };
        const filler = await create(inSmall, "filler");
        await writeBlocks(
          inSmall,
          filler.volumeId,
          1,
          Object.fromEntries([...Array(512).keys()].map((block) => [block, 1])),
        );
        const { volumeId } = await create(inSmall, "disk", { capacityBytes: 64 * mib });
        const attachment = await attach(inSmall, volumeId, 1);
        const client = await small.openTransport(attachment.transport);
        let written = 0;
        // A provider whose writes wait for room never answers the last: that is what `pause` promises.
        const pauses = outOfSpace === "pause";
        try {
          while (written < 64 * 256) {
            const write = client.write(written * blockBytes, blockOf((written % 255) + 1));
            await (pauses ? Promise.race([write, later(500)]) : write);
            written++;
          }
        } catch {
          // Full.
        }
        must(written < 64 * 256, "a pool of 64 MiB at most must run full before 64 MiB and a filler are written");
        const { alarms } = await provider.capacity({}, test.operation());
        must(
          alarms.some(({ kind }) => kind === "outOfSpace"),
          `a full pool must have the alarm, and has ${JSON.stringify(alarms)}`,
        );
        const { condition } = await provider.health({}, test.operation());
        must(condition !== "healthy", "a full pool must not be healthy");
        for (const block of [0, Math.floor(written / 2), written - 1])
          await mustRead(client, { [block]: (block % 255) + 1 });
        await provider.deleteVolume({ volumeId: filler.volumeId }, test.operation());
        await client.close();
        await detach(inSmall, attachment);
        await writeBlocks(inSmall, volumeId, 2, { [written]: 9 });
        await mustHold(inSmall, volumeId, 3, { 0: 1, [written - 1]: ((written - 1) % 255) + 1, [written]: 9 });
      } finally {
        await small.dispose?.();
      }
    },
  },
  {
    id: "storage.attributes.known",
    title:
      "the well-known attributes are of their types, fencing is told, and the pool's name is one that capacity takes",
    clause: "StorageAttributes: The well-known names in `describe().attributes`. fencing: Required of every provider.",
    level: "core",
    async run(test) {
      const { attributes } = test.description;
      const parsed = storageAttributes.safeParse(attributes);
      const [issue] = parsed.error?.issues ?? [];
      must(parsed.success, `attribute '${issue?.path.join(".")}' is not what the contract says: ${issue?.message}`);
      must(parsed.data.fencing !== undefined, "attribute 'fencing' must be told");
      const { pool } = parsed.data;
      const named = await test.provider.capacity(pool === undefined ? {} : { pool }, test.operation());
      must(named.totalBytes > 0, "the pool that the attributes name must have space");
    },
  },
];

async function later(ms: number): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  throw new Error(`no answer in ${ms} ms`);
}
