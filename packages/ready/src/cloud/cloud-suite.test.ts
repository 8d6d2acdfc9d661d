import type { CloudConnector } from "@vdc-os/core/cloud/v1";
import { describe } from "vitest";
import { forgiving } from "../../test/build-mutant.ts";
import { createReference, facet, mutant } from "../../test/cloud-mutants/build-mutant.ts";
import { pressureMutants } from "../../test/cloud-mutants/pressure-mutants.ts";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import type { CloudConnectorInstance } from "./cloud-connector-instance.ts";
import { cloudSuite } from "./cloud-suite.ts";
import { MemoryCloud } from "./memory-cloud.ts";

const mutants: readonly Mutant<CloudConnector, CloudConnectorInstance>[] = [
  mutant("cloud.describe.attributes", "names no regions", (cloud) => ({
    describe: async () => ({ ...(await cloud.describe()), attributes: { stamp: "same-request" } }),
  })),
  mutant("cloud.credentials.identity", "does not say who it is", () => ({
    checkCredentials: async () => ({ identity: "", missingPermissions: [] }),
  })),
  {
    breaks: "cloud.credentials.wrong",
    how: "lets everybody in",
    mutate: (instance) => ({ ...instance, wrongCredentials: () => instance.implementation }),
  },
  mutant("cloud.offerings.paged", "forgets the last offering of pages that are not whole", (cloud) => ({
    async listOfferings(input) {
      const page = await cloud.listOfferings(input);
      return page.nextPageToken === undefined && input.pageToken !== undefined ? { items: [] } : page;
    },
  })),
  mutant("cloud.offerings.paged", "does not heed the region", (cloud) => ({
    listOfferings: ({ region: _, ...page }) => cloud.listOfferings(page),
  })),
  mutant("cloud.images.paged", "does not heed the name", (cloud) => ({
    listImages: ({ name: _, ...page }) => cloud.listImages(page),
  })),
  mutant("cloud.networks.paged", "has no second page", (cloud) => ({
    listNetworks: async (input) => ({ items: (await cloud.listNetworks(input)).items }),
  })),
  mutant("cloud.create.answers", "answers with an instance that is failed", (cloud) => ({
    createInstance: async (input, context) => ({ ...(await cloud.createInstance(input, context)), state: "failed" }),
  })),
  mutant("cloud.create.runs", "never gets an instance to run", (cloud) => ({
    async observeInstance(input) {
      const found = await cloud.observeInstance(input);
      return found.state === "present" ? { ...found, instance: { ...found.instance, state: "pending" } } : found;
    },
  })),
  mutant("cloud.create.idempotent-by-token", "makes an instance for each request", (cloud) => {
    let count = 0;
    return {
      async createInstance(input, context) {
        count += 1;
        const { account } = cloud;
        const made = await cloud.createInstance(
          { ...input, stamp: { ...input.stamp, token: `${input.stamp.token}${count}` } },
          context,
        );
        account.instances.set(made.instanceId, { ...made, stamp: input.stamp });
        return { ...made, stamp: input.stamp };
      },
    };
  }),
  mutant("cloud.create.stamp-in-same-request", "writes the stamp in a second step", (cloud) => ({
    async createInstance(input, context) {
      const made = await cloud.createInstance(input, context);
      const { stamp, ...bare } = made;
      cloud.account.instances.set(made.instanceId, bare);
      await new Promise((resolve) => setTimeout(resolve, 5));
      cloud.account.instances.set(made.instanceId, made);
      return { ...bare, ...(stamp === undefined ? {} : { stamp }) };
    },
  })),
  mutant("cloud.create.stamp-in-same-request", "keeps no lease", (cloud) => ({
    createInstance: ({ stamp: { leaseUntil: _, ...stamp }, ...input }, context) =>
      cloud.createInstance({ ...input, stamp }, context),
  })),
  mutant("cloud.create.parallel", "answers every request of one moment with the first instance", (cloud) => {
    let first: ReturnType<CloudConnector["createInstance"]> | undefined;
    return {
      createInstance(input, context) {
        first ??= cloud.createInstance(input, context);
        return first;
      },
    };
  }),
  mutant("cloud.create.bad-image", "takes another image for one that it does not have", (cloud) => ({
    createInstance: (input, context) => cloud.createInstance({ ...input, image: "debian" }, context),
  })),
  mutant("cloud.create.bad-size", "takes another size for one that it does not have", (cloud) => ({
    createInstance: (input, context) => cloud.createInstance({ ...input, size: "small" }, context),
  })),
  mutant("cloud.create.cancelled", "does not look at the signal", (cloud) => ({
    createInstance: (input, context) =>
      cloud.createInstance(input, Object.create(context, { signal: { value: new AbortController().signal } })),
  })),
  mutant("cloud.create.lost-answer", "tries again by itself", (cloud) => ({
    createInstance: (input, context) =>
      forgiving(cloud.createInstance(input, context), () => cloud.createInstance(input, context)),
  })),
  {
    breaks: "cloud.create.reopened",
    how: "keeps tokens in the connector",
    mutate: (instance) => ({ ...instance, reopen: () => new MemoryCloud() }),
  },
  mutant("cloud.observe.by-token", "finds instances by name", (cloud) => ({
    async observeInstance(input) {
      if (!("token" in input.by)) return cloud.observeInstance(input);
      const { items } = await cloud.listInstances({});
      const [instance] = items;
      return instance === undefined ? { state: "absent" } : { state: "present", instance };
    },
  })),
  mutant("cloud.observe.by-id", "takes every id for a token", (cloud) => ({
    observeInstance: ({ by }) =>
      cloud.observeInstance({ by: { token: "instanceId" in by ? by.instanceId : by.token } }),
  })),
  mutant("cloud.observe.absent", "matches the beginning of tokens", (cloud) => ({
    async observeInstance(input) {
      const { items } = await cloud.listInstances({});
      const { by } = input;
      const instance = items.find(({ stamp }) => "token" in by && stamp?.token.startsWith(by.token));
      return instance === undefined ? cloud.observeInstance(input) : { state: "present", instance };
    },
  })),
  mutant("cloud.remove.removes", "removes whatever there is", (cloud) => ({
    async removeInstance(input, context) {
      for (const instanceId of cloud.account.instances.keys()) await cloud.removeInstance({ instanceId }, context);
      return cloud.removeInstance(input, context);
    },
  })),
  mutant("cloud.remove.absent", "has work to do for what is not there", (cloud) => ({
    removeInstance: async (input, context) => ({ ...(await cloud.removeInstance(input, context)), state: "running" }),
  })),
  mutant("cloud.operation.ends", "has operations that never end", (cloud) => ({
    getOperation: async (input) => ({ ...(await cloud.getOperation(input)), state: "running" }),
  })),
  mutant("cloud.operation.unknown", "knows every operation", () => ({
    getOperation: async ({ operationId }) => ({ operationId, state: "succeeded" }),
  })),
  mutant("cloud.list.paged", "gives the last item of a page again", (cloud) => ({
    async listInstances(input) {
      const page = await cloud.listInstances(input);
      const repeated = input.pageToken === undefined ? [] : page.items.slice(0, 1);
      return { ...page, items: [...repeated, ...page.items].slice(0, input.limit ?? 1000) };
    },
  })),
  mutant("cloud.list.paged", "gives more than it was asked for", (cloud) => ({
    listInstances: ({ limit: _, ...input }) => cloud.listInstances(input),
  })),
  mutant("cloud.list.token", "begins again by itself", (cloud) => ({
    listInstances: (input) => forgiving(cloud.listInstances(input), () => cloud.listInstances({})),
  })),
  mutant("cloud.list.owner-filter", "lists what others own", (cloud) => ({
    listInstances: ({ ownerDatacenter: _, ...input }) => cloud.listInstances(input),
  })),
  mutant("cloud.list.changed-since", "does not heed the time", (cloud) => ({
    listInstances: ({ changedSince: _, ...input }) => cloud.listInstances(input),
  })),
  mutant("cloud.power.cycles", "does not stop", (cloud) =>
    facet(cloud, "power", { stopInstance: async () => ({ operationId: "o", state: "succeeded" }) }),
  ),
  mutant("cloud.power.absent", "starts what is not there", (cloud) =>
    facet(cloud, "power", { startInstance: async () => ({ operationId: "o", state: "succeeded" }) }),
  ),
  mutant("cloud.pricing.offered", "has a price for everything", (cloud) =>
    facet(cloud, "pricing", { price: async () => ({ perHour: 1, currency: "EUR" }) }),
  ),
  mutant("cloud.quotas.count", "counts nothing", (cloud) =>
    facet(cloud, "quotas", { quotas: async () => [{ name: "instances", used: 0, limit: 100 }] }),
  ),
  mutant("cloud.events.level", "tells of everybody's instances", (cloud) =>
    facet(cloud, "events", { watchInstances: (_, context) => cloud.facets.events.watchInstances({}, context) }),
  ),
  ...pressureMutants,
];

describe("the cloud suite", () => {
  describeProof(cloudSuite, { create: createReference, mutants, timeoutMs: 3_000 });
  describe("the reference", () => describeSuite(cloudSuite, { create: createReference }));
});
