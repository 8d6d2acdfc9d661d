import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  type CloudRequirement,
  create,
  observe,
  removeWholly,
  stampOf,
  tokensOf,
  until,
} from "./cloud-connector-instance.ts";

/** What looking at instances and removing them must do. */
export const observeRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.observe.by-token",
    title: "a token finds its instance and no other",
    clause: "observeInstance: By id, or by the token of the stamp.",
    level: "core",
    async run(test) {
      const one = await create(test, "one");
      const two = await create(test, "two", { name: "one", stamp: stampOf("two") });
      for (const [token, { instanceId }] of [["one", one] as const, ["two", two] as const]) {
        const found = await observe(test, token);
        must(found.state === "present", `the instance with token '${token}' must be present, and is ${found.state}`);
        mustEqual(found.instance.instanceId, instanceId, `the id of the instance with token '${token}'`);
      }
    },
  },
  {
    id: "cloud.observe.by-id",
    title: "an id finds its instance",
    clause: "observeInstance: By id, or by the token of the stamp.",
    level: "core",
    async run(test) {
      await create(test, "other");
      const { instanceId } = await create(test, "web");
      const found = await test.provider.observeInstance({ by: { instanceId } }, test.operation());
      must(found.state === "present", `an instance must be present, and is ${found.state}`);
      mustEqual([found.instance.instanceId, found.instance.name], [instanceId, "web"], "id and name");
    },
  },
  {
    id: "cloud.observe.absent",
    title: "what is not there is absent, which is no failure",
    clause: 'InstanceObservation: { state: "absent" }',
    level: "core",
    async run(test) {
      await create(test, "web");
      mustEqual(await observe(test, "we"), { state: "absent" }, "a token that begins another");
      const nobody = { by: { instanceId: "no-such-instance" } };
      const found = await test.provider.observeInstance(nobody, test.operation());
      mustEqual(found, { state: "absent" }, "an id that nobody has");
    },
  },
  {
    id: "cloud.remove.removes",
    title: "a removed instance goes, and the others stay",
    clause: "removeInstance: Begins to remove.",
    level: "core",
    async run(test) {
      const web = await create(test, "web");
      await create(test, "stays");
      await removeWholly(test, web);
      mustEqual((await observe(test, "web")).state, "absent", "the removed instance, by its token");
      mustEqual(await tokensOf(test), ["stays"], "the tokens in a list");
    },
  },
  {
    id: "cloud.remove.absent",
    title: "removing what is not there succeeds at once, and so does removing twice",
    clause: "removeInstance: An absent one is a success, with an operation that has succeeded.",
    level: "core",
    async run(test) {
      const nobody = await test.provider.removeInstance({ instanceId: "no-such-instance" }, test.operation());
      mustEqual(nobody.state, "succeeded", "the operation for an instance that never was");
      const web = await create(test, "web");
      await removeWholly(test, web);
      const { state } = await test.provider.removeInstance({ instanceId: web.instanceId }, test.operation());
      mustEqual(state, "succeeded", "the operation for an instance that is gone");
    },
  },
  {
    id: "cloud.operation.ends",
    title: "the operation of a removal can be followed until it has succeeded, and then the instance is gone",
    clause: "getOperation: Tells how far a long operation has come.",
    level: "core",
    async run(test) {
      const { instanceId } = await create(test, "web");
      const begun = await test.provider.removeInstance({ instanceId }, test.operation());
      const { operationId } = begun;
      const last = await until(
        test,
        async () => (begun.state === "running" ? test.provider.getOperation({ operationId }, test.operation()) : begun),
        ({ state }) => state !== "running",
      );
      mustEqual([last.operationId, last.state], [operationId, "succeeded"], "the operation, when it has ended");
      const found = await test.provider.observeInstance({ by: { instanceId } }, test.operation());
      mustEqual(found.state, "absent", "the instance, when its removal has succeeded");
    },
  },
  {
    id: "cloud.operation.unknown",
    title: "an operation that never was is not found",
    clause: 'Operation getOperation: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const call = test.provider.getOperation({ operationId: "no-such-operation" }, test.operation());
      await mustReject(call, "NOT_FOUND", "an operation that never was");
    },
  },
  {
    id: "cloud.list.paged",
    title: "in pages of one, each instance comes once",
    clause: "PageRequest.limit: At most this many items.",
    level: "core",
    async run(test) {
      const names = ["a", "b", "c", "d", "e"];
      for (const name of names) await create(test, name);
      mustEqual(await tokensOf(test, "dc-1", 1), names, "the tokens in pages of one");
      mustEqual(await tokensOf(test, "dc-1", 2), names, "the tokens in pages of two");
    },
  },
  {
    id: "cloud.list.token",
    title: "a page token that the list did not give is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`: begin again.",
    level: "core",
    async run(test) {
      await create(test, "web");
      const call = test.provider.listInstances({ pageToken: "nonsense" }, test.operation());
      await mustReject(call, "ABORTED", "a list with an unknown page token");
    },
  },
  {
    id: "cloud.list.owner-filter",
    title: "a datacenter's list has what it stamped, and nothing of others",
    clause: "listInstances: ownerDatacenter; CloudInstance.stamp: Absent for an instance that somebody else made.",
    level: "core",
    async run(test) {
      const foreign = await test.instance.makeForeign?.();
      await create(test, "ours");
      await create(test, "theirs", { stamp: stampOf("theirs", "dc-2") });
      mustEqual(await tokensOf(test, "dc-1"), ["ours"], "the tokens of one datacenter");
      mustEqual(await tokensOf(test, "dc-2"), ["theirs"], "the tokens of another");
      mustEqual(await tokensOf(test, "dc-3"), [], "the tokens of one that made nothing");
      if (foreign === undefined) return;
      const found = await test.provider.observeInstance({ by: { instanceId: foreign } }, test.operation());
      must(found.state !== "present" || found.instance.stamp === undefined, "a foreign instance must have no stamp");
    },
  },
  {
    id: "cloud.list.changed-since",
    title: "a list of what has changed since a time has what was made after it",
    clause: "listInstances: changedSince",
    level: "core",
    async run(test) {
      const { createdAt } = await create(test, "web");
      const now = await test.provider.listInstances({ changedSince: createdAt }, test.operation());
      must(
        now.items.some(({ stamp }) => stamp?.token === "web"),
        "what was made at a time has changed since that time",
      );
      const later = await test.provider.listInstances({ changedSince: createdAt + 86_400_000 }, test.operation());
      mustEqual(later.items, [], "what has changed since tomorrow");
    },
  },
];
