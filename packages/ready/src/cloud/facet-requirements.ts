import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type CloudRequirement, create, present, until } from "./cloud-connector-instance.ts";

/** What the facets must do. */
export const facetRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.power.cycles",
    title: "an instance that runs can be stopped and started, and keeps its id",
    clause: "Facet `power`: startInstance, stopInstance",
    level: "extended",
    facet: "power",
    async run(test) {
      const { instanceId } = await create(test, "web");
      const power = test.facet("power");
      const reaches = (state: string) =>
        until(
          test,
          () => present(test, "web"),
          (instance) => instance.state === state,
        );
      await reaches("running");
      for (const _ of ["once", "and again"]) await power.stopInstance({ instanceId }, test.operation());
      await reaches("stopped");
      for (const _ of ["once", "and again"]) await power.startInstance({ instanceId }, test.operation());
      mustEqual((await reaches("running")).instanceId, instanceId, "the id after a stop and a start");
    },
  },
  {
    id: "cloud.power.absent",
    title: "what is not there can't be started or stopped",
    clause: 'Operations startInstance, stopInstance: errors ["NOT_FOUND"]',
    level: "extended",
    facet: "power",
    async run(test) {
      const power = test.facet("power");
      const nobody = { instanceId: "no-such-instance" };
      await mustReject(power.startInstance(nobody, test.operation()), "NOT_FOUND", "starting what is not there");
      await mustReject(power.stopInstance(nobody, test.operation()), "NOT_FOUND", "stopping what is not there");
    },
  },
  {
    id: "cloud.pricing.offered",
    title: "what is offered has a price, and what is not has none",
    clause: 'Facet `pricing`: price; errors ["NOT_FOUND"]',
    level: "extended",
    facet: "pricing",
    async run(test) {
      const { items } = await test.provider.listOfferings({}, test.operation());
      const offer = items.find(({ size }) => size === test.instance.request.size);
      must(offer !== undefined, "the suite's size must be offered");
      const { size, region, pricePerHour } = offer;
      const price = await test.facet("pricing").price({ size, region }, test.operation());
      must(price.perHour >= 0 && /^[A-Z]{3}$/.test(price.currency), "a price has an amount and a currency of ISO 4217");
      if (pricePerHour !== undefined)
        mustEqual(price.perHour, pricePerHour.amount, "the price, as the offering has it");
      const none = test.facet("pricing").price({ size: "no-such-size-anywhere", region }, test.operation());
      await mustReject(none, "NOT_FOUND", "the price of what is not offered");
    },
  },
  {
    id: "cloud.quotas.count",
    title: "what is made counts against a quota",
    clause: "Quota: A limit of the account.",
    level: "extended",
    facet: "quotas",
    async run(test) {
      const used = async (): Promise<readonly number[]> =>
        (await test.facet("quotas").quotas({}, test.operation())).map((quota) => {
          must(quota.used <= quota.limit, `quota '${quota.name}' is used beyond its limit`);
          return quota.used;
        });
      const before = await used();
      await create(test, "web");
      await until(test, used, (after) => after.some((count, index) => count > (before[index] ?? 0)));
    },
  },
  {
    id: "cloud.events.level",
    title: "a watch tells what is there and what is made, with the owner that was asked for",
    clause: "Facet `events`: the cloud pushes what changes.",
    level: "extended",
    facet: "events",
    async run(test) {
      await create(test, "before");
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const watch = test.facet("events").watchInstances({ ownerDatacenter: "dc-1" }, operation)[Symbol.asyncIterator]();
      const seen = new Set<string>();
      const see = async (token: string): Promise<void> => {
        while (!seen.has(token)) {
          const item = await watch.next();
          must(!item.done, `the watch ended before it told of '${token}'`);
          if (item.value.type !== "resync") seen.add(item.value.object.stamp?.token ?? "no stamp");
        }
      };
      await see("before");
      await create(test, "theirs", {
        stamp: { token: "theirs", owner: { datacenter: "dc-2", tenant: "t", kind: "k", name: "n", uid: "u" } },
      });
      await create(test, "after");
      await see("after");
      mustEqual([...seen].sort(), ["after", "before"], "the tokens that the watch told");
      controller.abort();
      await watch.return?.();
    },
  },
];
