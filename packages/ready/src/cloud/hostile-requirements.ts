import { isVdcError } from "@vdc-os/core";
import { mustKeepNoMemory, mustTakeNoMore } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { strangeIds } from "../suite/strange-ids.ts";
import {
  type CloudRequirement,
  create,
  observe,
  ownerOf,
  present,
  tokensOf,
  until,
} from "./cloud-connector-instance.ts";

/** How many watches nobody reads, and how many changes are made meanwhile. */
const unread = 48;
const changes = 600;

/** Fails unless a call succeeds, or is refused as no sensible request. */
async function orRefused<T>(call: Promise<T>, what: string): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    must(
      isVdcError(error, "INVALID_ARGUMENT"),
      `${what} must be answered, or refused with INVALID_ARGUMENT, and fails with ${String(error)}`,
    );
    return undefined;
  }
}

/** What no connector may take for something else, and what may not take all memory. */
export const hostileRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.hostile.ids",
    title: "an id that was never given out is nobody's, whatever is in it, and nothing is done to any instance",
    clause:
      'InstanceObservation: { state: "absent" }; removeInstance: "An absent one is a success"; Operation getOperation: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      await create(test, "web");
      for (const id of strangeIds) {
        for (const by of [{ instanceId: id }, { token: id }]) {
          const found = await orRefused(test.provider.observeInstance({ by }, test.operation()), `looking for '${id}'`);
          mustEqual(found?.state ?? "absent", "absent", `what is known of '${id}'`);
        }
        const removal = test.provider.removeInstance({ instanceId: id }, test.operation());
        mustEqual(
          (await orRefused(removal, `removing '${id}'`))?.state ?? "succeeded",
          "succeeded",
          `the removal of '${id}'`,
        );
        const operation = test.provider.getOperation({ operationId: id }, test.operation());
        await mustReject(operation, ["NOT_FOUND", "INVALID_ARGUMENT"], `the operation '${id}'`);
        const images = await orRefused(
          test.provider.listImages({ name: id }, test.operation()),
          `images of name '${id}'`,
        );
        mustEqual(images?.items ?? [], [], `the images of name '${id}'`);
        mustEqual(await tokensOf(test, id), [], `the instances of datacenter '${id}'`);
      }
      await until(
        test,
        () => present(test, "web"),
        ({ state }) => state === "running",
      );
    },
  },
  {
    id: "cloud.hostile.tokens",
    title: "a token of any characters is refused, or finds its instance and no other, with the stamp as it was written",
    clause: "CloudStamp.token: Names the request: after a lost answer, `observeInstance` finds the instance by it.",
    level: "core",
    async run(test) {
      const tokens = ["t", "T", "t ", "t%", "t_", "t*", "t&token=t", "t#", "t?", "t+", ...strangeIds.slice(0, 8)];
      const made = new Map<string, string>();
      for (const [index, token] of tokens.entries()) {
        const owner = { ...ownerOf("dc-1"), uid: `uid of ${token}`, name: token };
        const making = create(test, `web-${index}`, { stamp: { owner, token } });
        const instance = await orRefused(making, `a create with token '${token}'`);
        if (instance === undefined) continue;
        made.set(token, instance.instanceId);
        mustEqual(instance.stamp, { owner, token }, `the stamp of the instance with token '${token}'`);
      }
      mustEqual(new Set(made.values()).size, made.size, "how many instances were made with tokens of their own");
      must(made.has("t") && made.has("T"), "tokens of letters must be taken");
      for (const token of tokens) {
        const found = await orRefused(observe(test, token), `looking for token '${token}'`);
        const instanceId = found?.state === "present" ? found.instance.instanceId : undefined;
        mustEqual(instanceId, made.get(token), `the id of the instance with token '${token}'`);
      }
      mustEqual((await tokensOf(test)).toSorted(), [...made.keys()].toSorted(), "the tokens in a list");
    },
  },
  {
    id: "cloud.hostile.text",
    title: "what is handed to a guest, and who owns it, may be of any characters",
    clause: "CreateInstance.userData: Handed to the guest; stamp: OwnerStamp",
    level: "core",
    async run(test) {
      const strange = `#!/bin/sh\n"'\\ \u0000 \u00e9 \u{1f600} $(touch x) </script>`;
      const owner = { datacenter: "dc '1'&a=b", tenant: strange, kind: "", name: "../..", uid: "%2e%2e/" };
      const userData = strange.repeat(2_000).slice(0, 65_536);
      const stamp = { owner, token: "strange", leaseUntil: 0 };
      const { instanceId } = await create(test, "a".repeat(63), { userData, stamp });
      const found = await present(test, "strange");
      mustEqual([found.instanceId, found.name], [instanceId, "a".repeat(63)], "id and name");
      mustEqual(JSON.stringify(found.stamp?.owner), JSON.stringify(owner), "the owner");
      mustEqual(await tokensOf(test, owner.datacenter), ["strange"], "the tokens of that owner");
      const again = await create(test, "a".repeat(63), { userData, stamp });
      mustEqual(again.instanceId, instanceId, "the id of the same request, repeated");
    },
  },
  {
    id: "cloud.observe.bounded-memory",
    title: "looking at an instance again and again keeps nothing",
    clause: "OperationContext: it ends with its call, and what the call read with it",
    level: "core",
    async run(test) {
      const { instanceId } = await create(test, "web");
      await mustKeepNoMemory(
        async () => {
          await test.provider.observeInstance({ by: { instanceId } }, test.operation());
          await test.provider.listInstances({}, test.operation());
        },
        { calls: 60, bytesPerCall: 8_192 },
      );
    },
  },
  {
    id: "cloud.events.unread",
    title: "watches that nobody reads keep no change in memory, hold nobody up, and tell how things are then",
    clause: "WatchItem: what counts is the object in the latest item, not how many items came",
    level: "extended",
    facet: "events",
    async run(test) {
      if (test.description.facets.power?.status !== "available") {
        return test.notApplicable(
          "describe says that nothing of an instance can be changed quickly: there is no facet 'power'",
        );
      }
      const { instanceId } = await create(test, "web");
      const make = async (): Promise<void> => {
        for (let left = changes; left > 0; left -= 2) {
          await test.facet("power").stopInstance({ instanceId }, test.operation());
          await test.facet("power").startInstance({ instanceId }, test.operation());
        }
      };
      const open = () => test.facet("events").watchInstances({}, test.operation())[Symbol.asyncIterator]();
      const watches: ReturnType<typeof open>[] = [];
      await mustTakeNoMore(make, {
        once: async () => {
          watches.push(...Array.from({ length: unread }, open));
          for (const watch of watches) await watch.next();
        },
        // Half of what a change takes that waits for each of them in a queue.
        enough: unread * changes * 20,
        what: `with ${unread} watches that nobody reads`,
      });
      await test.facet("power").stopInstance({ instanceId }, test.operation());
      for (const watch of watches) {
        for (let isSo = false; !isSo; ) {
          const item = await watch.next();
          must(!item.done, "the watch ended");
          isSo = item.value.type !== "resync" && item.value.object.state === "stopped";
        }
        await watch.return?.();
      }
    },
  },
];
