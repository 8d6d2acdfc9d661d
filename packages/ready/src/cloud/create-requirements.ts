import { isVdcError, systemClock } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  type CloudRequirement,
  create,
  observe,
  present,
  requestOf,
  stampOf,
  tokensOf,
  until,
} from "./cloud-connector-instance.ts";

const byToken = "createInstance: A token that was used returns the instance it made.";
const sameRequest =
  "CloudConnector: The owner stamp is written in the same request that creates, so that after a crash or a lost answer the instance is found by its token";

/** What `createInstance` must do. */
export const createRequirements: readonly CloudRequirement[] = [
  {
    id: "cloud.create.answers",
    title: "the answer is the instance that was asked for, on its way or running",
    clause: "createInstance: Begins to create; the instance may be `pending`.",
    level: "core",
    async run(test) {
      const made = await create(test, "web");
      const { image, size } = test.instance.request;
      mustEqual([made.name, made.image, made.size], ["web", image, size], "name, image and size");
      must(made.state === "pending" || made.state === "running", `a new instance must not be ${made.state}`);
    },
  },
  {
    id: "cloud.create.runs",
    title: "an instance comes to run without another call that changes it",
    clause: "createInstance: Begins to create; the instance may be `pending`.",
    level: "core",
    async run(test) {
      const { instanceId } = await create(test, "web");
      const last = await until(
        test,
        () => present(test, "web"),
        ({ state }) => state !== "pending",
      );
      mustEqual(
        [last.instanceId, last.state],
        [instanceId, "running"],
        "id and state, when it is not pending any more",
      );
    },
  },
  {
    id: "cloud.create.idempotent-by-token",
    title: "a token makes one instance, also when the same request comes several times at once",
    clause: byToken,
    level: "core",
    async run(test) {
      const made = await Promise.all(Array.from({ length: 4 }, () => create(test, "web")));
      const again = await create(test, "web");
      mustEqual(new Set([...made, again].map(({ instanceId }) => instanceId)).size, 1, "how many instances were made");
      mustEqual(await tokensOf(test), ["web"], "the tokens in a list");
    },
  },
  {
    id: "cloud.create.stamp-in-same-request",
    title: "the stamp is on the instance as soon as the instance is there, whole",
    clause: sameRequest,
    level: "core",
    async run(test) {
      const { stamp: how } = test.description.attributes;
      if (how !== "same-request")
        return test.notApplicable(`the cloud says that its stamp is '${JSON.stringify(how)}'`);
      const stamp = { ...stampOf("web"), leaseUntil: 4_102_444_800_000 };
      const progress = { made: false };
      const making = create(test, "web", { stamp }).finally(() => {
        progress.made = true;
      });
      // Whoever looks while it is made must see it with its stamp, or not at all.
      for (let looks = 0; looks < 100 && !progress.made; looks += 1) {
        const { items } = await test.provider.listInstances({}, test.operation());
        const bare = items.filter((instance) => instance.name === "web" && instance.stamp?.token !== "web");
        mustEqual(bare, [], "instances without their stamp");
        await systemClock.sleep(1);
      }
      const made = await making;
      mustEqual(made.stamp, stamp, "the stamp in the answer");
      mustEqual((await present(test, "web")).stamp, stamp, "the stamp when it is observed");
    },
  },
  {
    id: "cloud.create.parallel",
    title: "20 creates at once with tokens of their own make 20 instances",
    clause: byToken,
    level: "core",
    async run(test) {
      const names = Array.from({ length: 20 }, (_, index) => `node-${String(index).padStart(2, "0")}`);
      const made = await Promise.all(names.map((name) => create(test, name)));
      mustEqual(new Set(made.map(({ instanceId }) => instanceId)).size, 20, "how many instances were made");
      mustEqual(
        made.map(({ name }) => name),
        names,
        "the names in the answers",
      );
      mustEqual(await tokensOf(test), names, "the tokens in a list");
    },
  },
  {
    id: "cloud.create.bad-image",
    title: "an image that the cloud does not have is refused, and nothing is made",
    clause: 'Operation createInstance: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const call = create(test, "web", { image: "no-such-image-anywhere" });
      await mustReject(call, ["NOT_FOUND", "INVALID_ARGUMENT"], "creating from an unknown image");
      mustEqual((await observe(test, "web")).state, "absent", "what was refused");
    },
  },
  {
    id: "cloud.create.bad-size",
    title: "a size that the cloud does not have is refused, and nothing is made",
    clause: 'Operation createInstance: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const call = create(test, "web", { size: "no-such-size-anywhere" });
      await mustReject(call, ["NOT_FOUND", "INVALID_ARGUMENT"], "creating of an unknown size");
      mustEqual((await observe(test, "web")).state, "absent", "what was refused");
    },
  },
  {
    id: "cloud.create.cancelled",
    title: "a create that was cancelled before it began fails with CANCELLED, and makes nothing",
    clause: "OperationContext.signal: Aborts when the caller cancels",
    level: "core",
    async run(test) {
      const operation = test.operation({ signal: AbortSignal.abort() });
      const call = test.provider.createInstance(requestOf(test, "web"), operation);
      await mustReject(call, "CANCELLED", "a create that was cancelled before it began");
      mustEqual((await observe(test, "web")).state, "absent", "what was cancelled");
    },
  },
  {
    id: "cloud.create.lost-answer",
    title: "when the answer is lost the failure says that the outcome is unknown, and the token finds the one instance",
    clause:
      "CloudConnector: An outcome that can't be known fails with `DEADLINE_EXCEEDED` or `UNAVAILABLE`; then the datacenter observes",
    level: "core",
    async run(test) {
      if (test.instance.loseNextAnswer === undefined) return test.skip("the factory has no 'loseNextAnswer'");
      test.instance.loseNextAnswer();
      try {
        await create(test, "web");
        must(false, "a create whose answer is lost can't succeed: a connector never retries");
      } catch (error) {
        if (!isVdcError(error)) throw error;
        must(
          error.code === "DEADLINE_EXCEEDED" || error.code === "UNAVAILABLE",
          `a lost answer must fail with DEADLINE_EXCEEDED or UNAVAILABLE, and fails with ${error.code}`,
        );
      }
      const found = await until(
        test,
        () => observe(test, "web"),
        ({ state }) => state !== "absent",
      );
      mustEqual(found.state, "present", "what is known after a lost answer");
      const { instanceId } = await present(test, "web");
      mustEqual((await create(test, "web")).instanceId, instanceId, "the id that the same request returns then");
    },
  },
  {
    id: "cloud.create.reopened",
    title: "another connector to the account finds the instance by its token, with its stamp",
    clause: sameRequest,
    level: "core",
    async run(test) {
      if (test.instance.reopen === undefined) return test.skip("the factory has no 'reopen'");
      const { instanceId } = await create(test, "web");
      const other = await test.wrap(await test.instance.reopen());
      const found = await observe(test, "web", other);
      must(found.state === "present", `the instance must be present for another connector, and is ${found.state}`);
      mustEqual(
        [found.instance.instanceId, found.instance.stamp],
        [instanceId, stampOf("web")],
        "id and stamp, for another connector",
      );
      const again = await other.createInstance(requestOf(test, "web"), test.operation());
      mustEqual(again.instanceId, instanceId, "the id that the same request returns over another connector");
    },
  },
];
