import { must, mustEqual, mustReject } from "../suite/must.ts";
import { create, mib, type StorageRequirement, type StorageTest, writeBlocks } from "./storage-instance.ts";
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
];
