import { createOperationContext } from "@vdc-os/core";
import { forgiving } from "../../../test/build-mutant.ts";
import { mutant, otherStatus, withoutRepeated, type NetworkMutant } from "./mutant-switch.ts";

/** Mutants that do other than a spec says, or tell other than is so. */
export const specMutants: readonly NetworkMutant[] = [
  mutant("network.describe.attributes", "tells no overhead", (memory) => ({
    async describe(input, context) {
      const { attributes, ...rest } = await memory.describe(input, context);
      return { ...rest, attributes: { fencing: attributes.fencing ?? "none", attachments: ["tap"] } };
    },
  })),
  mutant("network.validate.good", "finds something to say about every spec", () => ({
    validateSwitch: async () => [{ path: "name", message: "could be nicer" }],
  })),
  mutant("network.validate.pure", "takes over what it validates", (memory) => ({
    async validateSwitch({ spec }, context) {
      const problems = await memory.validateSwitch({ spec }, context);
      if (problems.length === 0) await memory.applySwitch({ spec, generation: 1 }, context);
      return problems;
    },
  })),
  mutant("network.validate.repeated", "takes the last of two port groups", (memory) => ({
    validateSwitch: ({ spec }, context) => memory.validateSwitch({ spec: withoutRepeated(spec) }, context),
  })),
  mutant("network.validate.facets", "says only that something is wrong", (memory) => ({
    async validateSwitch(input, context) {
      return (await memory.validateSwitch(input, context)).map(() => ({ path: "", message: "no" }));
    },
  })),
  mutant("network.apply.refuses", "takes over what is good of a spec", (memory) => ({
    applySwitch: ({ spec, generation }, context) =>
      memory.applySwitch({ spec: withoutRepeated(spec), generation }, context),
  })),
  mutant(
    "network.apply.realised",
    "says that the first generation is in force for ever",
    otherStatus((status) => ({
      ...status,
      members: status.members.map((member) => ({ ...member, realizedGeneration: 1 })),
    })),
  ),
  mutant("network.apply.idempotent", "refuses a generation that it has seen", (memory) => ({
    async applySwitch(input, context) {
      const known = memory.disk.get(input.spec.switchId);
      return memory.applySwitch(known?.generation === input.generation ? { ...input, generation: 0 } : input, context);
    },
  })),
  mutant("network.apply.stale", "takes over an older generation", (memory) => ({
    applySwitch: ({ spec, generation }, context) =>
      memory.applySwitch(
        { spec, generation: Math.max(generation, memory.disk.get(spec.switchId)?.generation ?? 0) },
        context,
      ),
  })),
  mutant("network.list.paging", "begins again when it does not know a page token", (memory) => ({
    listSwitches: (input, context) =>
      forgiving(memory.listSwitches(input, context), () => memory.listSwitches({}, context)),
  })),
  mutant("network.remove.absent", "fails to remove what is not there", (memory) => ({
    async removeSwitch(input, context) {
      await memory.switchStatus(input, context);
      await memory.removeSwitch(input, context);
    },
  })),
  mutant("network.remove.connected", "disconnects the ports of a switch that is removed", (memory) => ({
    async removeSwitch(input, context) {
      if (memory.disk.has(input.switchId)) await memory.collectGarbage({ ...input, known: [] }, context);
      await memory.removeSwitch(input, context);
    },
  })),
  mutant("network.watch.level", "tells only what changes after the watch began", (memory) => ({
    async *watchSwitch(input, context) {
      let first = true;
      for await (const item of memory.watchSwitch(input, context)) {
        if (!first) yield item;
        first = false;
      }
    },
  })),
  mutant("network.watch.level", "tells the status of the beginning again and again", (memory) => ({
    async *watchSwitch(input, context) {
      const object = await memory.switchStatus(input, context);
      for await (const item of memory.watchSwitch(input, createOperationContext({ signal: context.signal }))) {
        yield item.type === "resync" ? item : { ...item, object };
      }
    },
  })),
  mutant("network.validate.transport", "has every transport that it does not tell", (memory) => ({
    async describe(input, context) {
      const { attributes, ...rest } = await memory.describe(input, context);
      return { ...rest, attributes: { ...attributes, transports: ["overlay"] } };
    },
  })),
  mutant(
    "network.opaque.travels",
    "keeps the data of a port to itself",
    otherStatus((status) => ({ ...status, ports: status.ports.map(({ opaque: _, ...port }) => port) })),
  ),
];
