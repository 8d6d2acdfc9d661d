import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import { put, type SecretRequirement } from "./secret-instance.ts";

const clause =
  'OperationContext.signal: "Aborts when the caller cancels"; SecretStore: "one that was not [answered] is made wholly or not at all"';

/** Callers that give up at any moment, and callers that come too late. */
export const cancelRequirements: readonly SecretRequirement[] = [
  {
    id: "secret.cancel.put",
    title: "a put that is given up at any moment makes one version or none, and a repeat finds or makes it",
    clause,
    level: "core",
    async run(test) {
      const textOf = (step: number): string => `value-${step}-`.repeat(500);
      let version = 0;
      await giveUpAtEveryStep(test, {
        what: "a put",
        call: (context, step) => test.provider.put({ name: "a", value: textOf(step) }, context),
        async look(step) {
          mustEqual(await put(test, "a", textOf(step)), version + 1, "the version when a put was repeated");
          version += 1;
          const { value } = await test.provider.resolve({ name: "a" }, test.operation());
          must(value === textOf(step), "the newest value must be the one that was put");
          const { items } = await test.provider.list({}, test.operation());
          mustEqual(items, [{ name: "a", version }], "the list");
        },
      });
    },
  },
  {
    id: "secret.cancel.rotate",
    title: "a rotation that is given up at any moment makes one version or none, and the one before stays readable",
    clause: 'SecretStore.rotate: "keeps the version before it readable"',
    level: "core",
    async run(test) {
      let last = { version: await put(test, "a", "first"), value: "first" };
      await giveUpAtEveryStep(test, {
        what: "a rotation",
        call: (context) => test.provider.rotate({ name: "a", bytes: 32 }, context),
        async look(_step, isDone) {
          const { version: next } = await test.provider.rotate({ name: "a", bytes: 32 }, test.operation());
          const made = next - last.version;
          must(
            made === 2 || (made === 1 && !isDone),
            `a rotation and another one make two versions, or one, and make ${made}`,
          );
          const before = await test.provider.resolve({ name: "a", version: last.version }, test.operation());
          must(before.value === last.value, "the version before must be as it was");
          const { value, version } = await test.provider.resolve({ name: "a" }, test.operation());
          mustEqual([version, Buffer.from(value, "base64url").length], [next, 32], "the newest version, and its bytes");
          last = { version, value };
        },
      });
    },
  },
  {
    id: "secret.cancel.remove",
    title: "a removal that is given up at any moment takes all versions or none, and a repeat completes it",
    clause: 'SecretStore.remove: "Removes a secret and all its versions. Removing what is absent succeeds."',
    level: "core",
    async run(test) {
      await put(test, "b", "stays");
      await giveUpAtEveryStep(test, {
        what: "a removal",
        async call(context) {
          await put(test, "a", "one");
          await put(test, "a", "two");
          await test.provider.remove({ name: "a" }, context);
        },
        async look(_step, isDone) {
          const names = (await test.provider.list({}, test.operation())).items.map(({ name }) => name);
          if (names.includes("a")) {
            must(!isDone, "a removal that was answered must have been made");
            const { value } = await test.provider.resolve({ name: "a" }, test.operation());
            must(value === "two", "what was not removed must be as it was");
          }
          await test.provider.remove({ name: "a" }, test.operation());
          const call = test.provider.resolve({ name: "a" }, test.operation());
          await mustReject(call, "NOT_FOUND", "resolving what was removed");
        },
      });
      const { items } = await test.provider.list({}, test.operation());
      mustEqual(
        items.map(({ name }) => name),
        ["b"],
        "the names that stay",
      );
    },
  },
  {
    id: "secret.deadline.passed",
    title: "a change whose deadline has passed before it begins fails with DEADLINE_EXCEEDED, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const version = await put(test, "a", "one");
      const { provider } = test;
      await mustBeOverdue(test, {
        put: (context) => provider.put({ name: "a", value: "late" }, context),
        "put of another": (context) => provider.put({ name: "b", value: "late" }, context),
        rotate: (context) => provider.rotate({ name: "a", bytes: 32 }, context),
        remove: (context) => provider.remove({ name: "a" }, context),
      });
      const found = await provider.resolve({ name: "a" }, test.operation());
      must(found.value === "one" && found.version === version, "the secret must be as it was");
      const { items } = await provider.list({}, test.operation());
      mustEqual(items, [{ name: "a", version }], "the list");
    },
  },
];
