import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import {
  type CloudRequirement,
  create,
  observe,
  present,
  removeWholly,
  requestOf,
  tokensOf,
  until,
} from "./cloud-connector-instance.ts";

/** Callers that give up at any moment, and callers that come too late. */
export const cancelRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.cancel.create",
    title:
      "a create that is given up at any moment makes one instance or none, and a repeat with its token finds or makes it",
    clause:
      'createInstance: "A token that was used returns the instance it made."; OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      const tokens: string[] = [];
      const tokenOf = (step: number): string => `step-${String(step).padStart(2, "0")}`;
      const answered = new Map<number, string>();
      await giveUpAtEveryStep(test, {
        what: "a create",
        async call(context, step) {
          answered.set(step, (await test.provider.createInstance(requestOf(test, tokenOf(step)), context)).instanceId);
        },
        async look(step) {
          tokens.push(tokenOf(step));
          const { instanceId } = await create(test, tokenOf(step));
          mustEqual(answered.get(step) ?? instanceId, instanceId, "the id of the same request, repeated");
          mustEqual(
            (await present(test, tokenOf(step))).instanceId,
            instanceId,
            "the id of the one instance with the token",
          );
        },
      });
      mustEqual(await tokensOf(test), tokens, "the tokens in a list, each once");
    },
  },
  {
    id: "cloud.cancel.remove",
    title: "a removal that is given up at any moment leaves the instance or removes it, and a repeat completes it",
    clause:
      'removeInstance: "Begins to remove. An absent one is a success"; OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      await create(test, "stays");
      let instance = await create(test, "goes");
      await giveUpAtEveryStep(test, {
        what: "a removal",
        call: (context) => test.provider.removeInstance({ instanceId: instance.instanceId }, context),
        async look(_step, isDone) {
          const found = await observe(test, "goes");
          const isGoing =
            found.state === "absent" || (found.state === "present" && found.instance.state === "deleting");
          must(
            !isDone || isGoing,
            `an instance whose removal was answered must be on its way out, and is ${found.state}`,
          );
          must(found.state !== "ambiguous", "an instance must not become another");
          await removeWholly(test, instance);
          await until(
            test,
            () => observe(test, "goes"),
            ({ state }) => state === "absent",
          );
          const { instanceId } = instance;
          instance = await create(test, "goes");
          must(instance.instanceId !== instanceId, "what is made after a removal must be another instance");
        },
      });
      mustEqual(await tokensOf(test), ["goes", "stays"], "the tokens in a list");
    },
  },
  {
    id: "cloud.deadline.passed",
    title: "a change whose deadline has passed before it begins fails with DEADLINE_EXCEEDED, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const { instanceId } = await create(test, "web");
      await until(
        test,
        () => present(test, "web"),
        ({ state }) => state === "running",
      );
      const { provider } = test;
      await mustBeOverdue(test, {
        createInstance: (context) => provider.createInstance(requestOf(test, "late"), context),
        removeInstance: (context) => provider.removeInstance({ instanceId }, context),
      });
      if (test.description.facets.power?.status === "available") {
        await mustBeOverdue(test, {
          stopInstance: (context) => test.facet("power").stopInstance({ instanceId }, context),
        });
      }
      mustEqual((await present(test, "web")).state, "running", "the instance after calls that came too late");
      mustEqual(await tokensOf(test), ["web"], "the tokens in a list");
    },
  },
];
