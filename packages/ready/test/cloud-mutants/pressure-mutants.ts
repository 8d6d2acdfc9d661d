import { createOperationContext, VdcError } from "@vdc-os/core";
import type { CloudConnector, CloudInstance } from "@vdc-os/core/cloud/v1";
import type { CloudConnectorInstance } from "../../src/cloud/cloud-connector-instance.ts";
import { MemoryCloud } from "../../src/cloud/memory-cloud.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { facet, mutant } from "./build-mutant.ts";

const givenUp = (): VdcError => new VdcError("CANCELLED", "it was given up");

/** Another connector to the account, after something has become of its instances. */
function reopened(
  breaks: string,
  how: string,
  change: (instances: Map<string, CloudInstance>) => void,
): Mutant<CloudConnector, CloudConnectorInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const { account } = instance.implementation as MemoryCloud;
      return {
        ...instance,
        reopen() {
          change(account.instances);
          return new MemoryCloud({ account });
        },
      };
    },
  };
}

/** Mutants of what happens to a connector from outside: kills, callers that give up or come too late, hostile input, many calls. */
export const pressureMutants: readonly Mutant<CloudConnector, CloudConnectorInstance>[] = [
  mutant(
    "cloud.cancel.create",
    "makes an instance without its token when it notices that it was given up",
    (cloud) => ({
      async createInstance(input, context) {
        await undefined;
        if (!context.signal.aborted) return cloud.createInstance(input, context);
        const stamp = { ...input.stamp, token: `${input.stamp.token}-half` };
        await cloud.createInstance({ ...input, stamp }, createOperationContext());
        throw givenUp();
      },
    }),
  ),
  mutant("cloud.cancel.remove", "removes the other instances when it notices that it was given up", (cloud) => ({
    async removeInstance(input, context) {
      await undefined;
      if (!context.signal.aborted) return cloud.removeInstance(input, context);
      for (const id of cloud.account.instances.keys()) if (id !== input.instanceId) cloud.account.instances.delete(id);
      throw givenUp();
    },
  })),
  mutant("cloud.deadline.passed", "removes for who comes too late", (cloud) => ({
    async removeInstance(input, context) {
      const operation = await cloud.removeInstance(input, createOperationContext());
      if (context.signal.aborted) throw new VdcError("DEADLINE_EXCEEDED", "too late");
      return operation;
    },
  })),
  mutant("cloud.deadline.passed", "stops an instance for who comes too late", (cloud) =>
    facet(cloud, "power", {
      async stopInstance(input, context) {
        const operation = await cloud.facets.power.stopInstance(input, createOperationContext());
        if (context.signal.aborted) throw new VdcError("DEADLINE_EXCEEDED", "too late");
        return operation;
      },
    }),
  ),
  reopened("cloud.crash.create", "makes what was under way twice", (instances) => {
    const last = [...instances.values()].at(-1);
    if (last !== undefined) instances.set("twice", { ...last, instanceId: "twice" });
  }),
  reopened("cloud.crash.remove", "takes all with it that is not wholly removed", (instances) => instances.clear()),
  mutant("cloud.hostile.ids", "takes an id for a way to the instances", (cloud) => ({
    async removeInstance(input, context) {
      if (!input.instanceId.startsWith("..")) return cloud.removeInstance(input, context);
      for (const instanceId of cloud.account.instances.keys()) await cloud.removeInstance({ instanceId }, context);
      return cloud.removeInstance(input, context);
    },
  })),
  mutant("cloud.hostile.tokens", "takes tokens that differ in case alone for one", (cloud) => ({
    createInstance: (input, context) =>
      cloud.createInstance({ ...input, stamp: { ...input.stamp, token: input.stamp.token.toLowerCase() } }, context),
  })),
  mutant("cloud.hostile.text", "writes the owner as text that is separated by slashes", (cloud) => ({
    createInstance(input, context) {
      const { owner } = input.stamp;
      const [datacenter = "", tenant = "", kind = "", name = "", uid = ""] =
        `${owner.datacenter}/${owner.tenant}/${owner.kind}/${owner.name}/${owner.uid}`.split("/");
      return cloud.createInstance(
        { ...input, stamp: { ...input.stamp, owner: { datacenter, tenant, kind, name, uid } } },
        context,
      );
    },
  })),
  mutant("cloud.observe.bounded-memory", "remembers what it has seen", (cloud) => {
    const seen: Uint8Array[] = [];
    return {
      async observeInstance(input) {
        seen.push(new Uint8Array(16_384));
        return cloud.observeInstance(input);
      },
    };
  }),
  mutant("cloud.events.unread", "keeps each change for each watch until that has read it", (cloud) => {
    const queues: object[][] = [];
    return facet(cloud, "events", {
      watchInstances(input, context) {
        const queue: object[] = [];
        queues.push(queue);
        cloud.account.watchers.add(({ instanceId, state }) => void queue.push({ instanceId, state }));
        return cloud.facets.events.watchInstances(input, context);
      },
    });
  }),
];
