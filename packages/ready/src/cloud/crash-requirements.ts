import type { CloudConnector } from "@vdc-os/core/cloud/v1";
import { type Killable, killWhile } from "../suite/kill-while.ts";
import { must, mustEqual } from "../suite/must.ts";
import {
  type CloudRequirement,
  type CloudTest,
  create,
  observe,
  requestOf,
  tokensOf,
  until,
} from "./cloud-connector-instance.ts";

/** How many calls are under way when the connector is killed. */
const calls = 10;

const clause =
  "CloudConnector: The owner stamp is written in the same request that creates, so that after a crash or a lost answer the instance is found by its token";

/** A connector, and what ends it as `kill -9` does and opens another one: in a process of its own where the factory has one. */
async function startKillable(test: CloudTest): Promise<Killable<CloudConnector>> {
  const { instance } = test;
  const own = await instance.killable?.();
  if (own !== undefined) {
    return { provider: await test.wrap(own.implementation), kill: async () => test.wrap(await own.kill()) };
  }
  const { reopen } = instance;
  if (reopen === undefined) return test.skip("the factory has neither 'killable' nor 'reopen'");
  return { provider: test.provider, kill: async () => test.wrap(await reopen.call(instance)) };
}

const names: readonly string[] = Array.from({ length: calls }, (_, index) => `node-${index}`);

/** Kills in the middle of what changes instances. */
export const crashRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.crash.create",
    title:
      "when the connector is killed while instances are made, each token has one instance or none, the answered ones have theirs, and repeats make no second",
    clause,
    level: "core",
    async run(test) {
      const { after, answered } = await killWhile(await startKillable(test), {
        call: (connector, name) => connector.createInstance(requestOf(test, name), test.operation()),
        items: names,
      });
      for (const name of names) {
        const told = answered.get(name)?.instanceId;
        const found = await observe(test, name, after);
        must(found.state !== "ambiguous", `the token '${name}' must have one instance or none after a kill`);
        must(
          told === undefined || found.state === "present",
          `the instance '${name}', which was answered, must be there`,
        );
        const { instanceId } = await after.createInstance(requestOf(test, name), test.operation());
        if (found.state === "present")
          mustEqual(instanceId, found.instance.instanceId, `the id of '${name}' when it is repeated`);
        mustEqual(told ?? instanceId, instanceId, `the id of '${name}', and the one that was answered`);
      }
      mustEqual(await tokensOf({ ...test, provider: after }), names, "the tokens in a list, each once");
    },
  },
  {
    id: "cloud.crash.remove",
    title:
      "when the connector is killed while instances are removed, each is there or goes, repeats complete it, and the others stay",
    clause: "removeInstance: Begins to remove. An absent one is a success",
    level: "core",
    async run(test) {
      const own = await startKillable(test);
      const ids = new Map<string, string>();
      for (const name of [...names, "stays"]) ids.set(name, (await create(test, name)).instanceId);
      const remove = (connector: CloudConnector, name: string) =>
        connector.removeInstance({ instanceId: ids.get(name) ?? "" }, test.operation());
      const { after, answered } = await killWhile(own, { call: remove, items: names });
      for (const name of names) {
        const found = await observe(test, name, after);
        const isGoing = found.state === "absent" || (found.state === "present" && found.instance.state === "deleting");
        must(isGoing || !answered.has(name), `'${name}', whose removal was answered, must be on its way out`);
        await remove(after, name);
      }
      for (const name of names) {
        await until(
          test,
          () => observe(test, name, after),
          ({ state }) => state === "absent",
        );
      }
      mustEqual(await tokensOf({ ...test, provider: after }), ["stays"], "the tokens in a list");
    },
  },
];
