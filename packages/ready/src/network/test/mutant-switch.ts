import type { DistributedSwitch, PortSetting, PortStatistics, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import { type BuildMutant, mutantsOf } from "../../../test/build-mutant.ts";
import type { Mutant } from "../../suite/proves-suite.ts";
import type { MemoryFacets } from "../memory-facets.ts";
import { MemorySwitch } from "../memory-switch.ts";
import type { NetworkInstance } from "../network-instance.ts";

/** A switch that breaks one requirement, for the suite to catch. */
export type NetworkMutant = Mutant<DistributedSwitch, NetworkInstance>;

/** The reference, as what the suite is given. */
export interface MemoryInstance extends NetworkInstance {
  readonly implementation: MemorySwitch;
}

/** The reference switch on two hosts. */
export function create(): MemoryInstance {
  const implementation = new MemorySwitch();
  return {
    implementation,
    hosts: ["a", "b"],
    openNic: async (binding) => implementation.openNic(binding),
    openUplink: async (_host, { name }) => implementation.openUplink(name),
    restart: async () => new MemorySwitch(implementation.disk),
  };
}

/** What a mutant does otherwise. */
export type Change = (memory: MemorySwitch) => Partial<DistributedSwitch>;

/** A mutant that answers some operations in another way. */
export const mutant: BuildMutant<DistributedSwitch, NetworkInstance, MemorySwitch> = mutantsOf();

/** Realises another setting than was asked for. */
export function otherSetting(change: (setting: PortSetting) => PortSetting): Change {
  return (memory) => ({
    applySwitch: ({ spec, generation }, context) => {
      const portGroups = spec.portGroups.map((group) => ({ ...group, setting: change(group.setting) }));
      return memory.applySwitch({ spec: { ...spec, portGroups }, generation }, context);
    },
  });
}

/** Tells another status than there is. */
export function otherStatus(change: (status: SwitchStatus) => SwitchStatus): Change {
  return (memory) => ({
    switchStatus: async (input, context) => change(await memory.switchStatus(input, context)),
    async *watchSwitch(input, context) {
      for await (const item of memory.watchSwitch(input, context)) {
        yield item.type === "resync" ? item : { ...item, object: change(item.object) };
      }
    },
  });
}

/** Tells other counters than there are. */
export function otherStatistics(change: (statistics: PortStatistics) => PortStatistics): Change {
  return (memory) => ({
    portStatistics: async (input, context) => (await memory.portStatistics(input, context)).map(change),
  });
}

/** Answers some operations of a facet in another way. */
export function otherFacet<Name extends keyof MemoryFacets>(
  name: Name,
  change: (facet: MemoryFacets[Name], memory: MemorySwitch) => Partial<MemoryFacets[Name]>,
): Change {
  return (memory) => {
    const facet = memory.facets[name];
    return { facets: { ...memory.facets, [name]: { ...facet, ...change(facet, memory) } } };
  };
}

/** Realises another spec than was asked for. */
export function otherSpec(change: (spec: SwitchSpec) => SwitchSpec): Change {
  return (memory) => ({
    applySwitch: ({ spec, generation }, context) => memory.applySwitch({ spec: change(spec), generation }, context),
  });
}

/** The spec with the last of port groups that have one key. */
export function withoutRepeated(spec: SwitchSpec): SwitchSpec {
  return { ...spec, portGroups: [...new Map(spec.portGroups.map((group) => [group.key, group])).values()] };
}
