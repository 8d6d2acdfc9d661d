import type { Page, PageRequest } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { allPages, type CloudRequirement, type CloudTest, requestOf } from "./cloud-connector-instance.ts";

/** Lists in pages of one and in one page, and holds them against each other. Returns the keys. */
async function mustPage<T>(
  test: CloudTest,
  what: string,
  list: (request: PageRequest) => Promise<Page<T>>,
  keyOf: (item: T) => string,
): Promise<readonly string[]> {
  const whole = (await allPages(list, undefined, () => test.operation())).map(keyOf);
  const single = (await allPages(list, 1, () => test.operation())).map(keyOf);
  mustEqual([...single].sort(), [...whole].sort(), `the ${what} in pages of one`);
  mustEqual(new Set(whole).size, whole.length, `how many different ${what} there are`);
  return whole;
}

/** What a cloud says of itself, and of the account. */
export const accountRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.describe.attributes",
    title: "the attributes name the regions, and say how the stamp is written",
    clause: "CloudConnector.describe: Attributes: `regions`, `stamp`.",
    level: "core",
    async run({ description }) {
      const { regions, stamp } = description.attributes;
      must(
        Array.isArray(regions) && regions.length > 0 && regions.every((region) => typeof region === "string"),
        "attribute 'regions' must name the regions",
      );
      must(
        stamp === "same-request" || stamp === "name-only" || stamp === "two-step",
        `attribute 'stamp' must be same-request, name-only or two-step, and is ${JSON.stringify(stamp)}`,
      );
    },
  },
  {
    id: "cloud.credentials.identity",
    title: "the credentials have an identity, and no permission is missing",
    clause: "CredentialReport: Who the credentials are, and what they lack.",
    level: "core",
    async run(test) {
      const report = await test.provider.checkCredentials({}, test.operation());
      must(report.identity !== "", "the credentials must have an identity");
      mustEqual(report.missingPermissions, [], "the permissions that are missing for this suite");
    },
  },
  {
    id: "cloud.credentials.wrong",
    title: "with credentials that the cloud does not know nothing is told and nothing is made",
    clause: 'errors ["UNAUTHENTICATED", ...] of each operation of the account',
    level: "core",
    async run(test) {
      if (test.instance.wrongCredentials === undefined) return test.skip("the factory has no 'wrongCredentials'");
      const stranger = await test.wrap(await test.instance.wrongCredentials());
      const calls = {
        checkCredentials: () => stranger.checkCredentials({}, test.operation()),
        listInstances: () => stranger.listInstances({}, test.operation()),
        listImages: () => stranger.listImages({}, test.operation()),
        createInstance: () => stranger.createInstance(requestOf(test, "stranger"), test.operation()),
        observeInstance: () => stranger.observeInstance({ by: { token: "stranger" } }, test.operation()),
        removeInstance: () => stranger.removeInstance({ instanceId: "any" }, test.operation()),
      };
      for (const [name, call] of Object.entries(calls)) {
        await mustReject(call(), "UNAUTHENTICATED", `'${name}' with wrong credentials`);
      }
      const found = await test.provider.observeInstance({ by: { token: "stranger" } }, test.operation());
      mustEqual(found.state, "absent", "what a stranger asked for");
    },
  },
  {
    id: "cloud.offerings.paged",
    title: "the offerings are the same in pages of one as in one page, and can be had by region",
    clause: "PageRequest.limit: At most this many items.",
    level: "core",
    async run(test) {
      const { provider } = test;
      const list = (request: PageRequest) => provider.listOfferings(request, test.operation());
      const all = await mustPage(test, "offerings", list, ({ size, region, zone = "" }) => `${size}/${region}/${zone}`);
      must(all.length > 0, "there must be an offering");
      const { items } = await provider.listOfferings({}, test.operation());
      const own = items.find(({ size }) => size === test.instance.request.size);
      must(own !== undefined, `the size '${test.instance.request.size}' that the suite is given must be offered`);
      const there = await provider.listOfferings({ region: own.region }, test.operation());
      must(
        there.items.length > 0 && there.items.every(({ region }) => region === own.region),
        `the offerings of region '${own.region}' must be of that region`,
      );
      const nowhere = await provider.listOfferings({ region: "no-such-region-anywhere" }, test.operation());
      mustEqual(nowhere.items, [], "the offerings of a region that is not");
    },
  },
  {
    id: "cloud.images.paged",
    title: "the images are the same in pages of one as in one page, and can be had by name",
    clause: "listImages: PageRequest & { name? }",
    level: "core",
    async run(test) {
      const { provider } = test;
      const list = (request: PageRequest) => provider.listImages(request, test.operation());
      const all = await mustPage(test, "images", list, ({ imageId }) => imageId);
      must(all.length > 0, "there must be an image");
      const [first] = (await provider.listImages({}, test.operation())).items;
      const name = first?.name ?? "";
      const named = await provider.listImages({ name }, test.operation());
      must(
        named.items.length > 0 && named.items.every((image) => image.name === name),
        `the images of name '${name}' must have that name`,
      );
      const none = await provider.listImages({ name: "no-such-image-anywhere" }, test.operation());
      mustEqual(none.items, [], "the images of a name that none has");
    },
  },
  {
    id: "cloud.networks.paged",
    title: "the networks are the same in pages of one as in one page",
    clause: "PageRequest.limit: At most this many items.",
    level: "core",
    async run(test) {
      const list = (request: PageRequest) => test.provider.listNetworks(request, test.operation());
      await mustPage(test, "networks", list, ({ networkId }) => networkId);
    },
  },
];
