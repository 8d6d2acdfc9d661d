import type { MemorySwitch } from "../memory-switch.ts";
import type { SuiteNic } from "../suite-nic.ts";
import { mutant, otherFacet, otherSetting, otherSpec, type NetworkMutant } from "./mutant-switch.ts";

/** Mutants in what ports' settings do to frames. */
export const settingMutants: readonly NetworkMutant[] = [
  mutant("network.traffic.isolation", "keeps the setting that a port was connected with", (memory) => ({
    connectPort: (input, context) => {
      const groups = memory.disk.get(input.switchId)?.spec.portGroups ?? [];
      const setting = input.setting ?? groups.find(({ key }) => key === input.portGroup)?.setting;
      return memory.connectPort({ ...input, ...(setting === undefined ? {} : { setting }) }, context);
    },
  })),
  mutant(
    "network.traffic.isolation",
    "puts every VLAN into one",
    otherSetting((setting) => ({ ...setting, vlan: { kind: "none" } })),
  ),
  mutant(
    "network.traffic.access",
    "makes an access port a trunk of its VLAN",
    otherSetting((setting) => {
      const { vlan } = setting;
      if (vlan.kind !== "access") return setting;
      const { id } = vlan;
      return { ...setting, vlan: { kind: "trunk", ranges: [{ from: id, to: id }], native: id } };
    }),
  ),
  mutant(
    "network.traffic.trunk",
    "takes an empty list for all VLANs",
    otherSetting((setting) =>
      setting.vlan.kind === "trunk" && setting.vlan.ranges.length === 0
        ? { ...setting, vlan: { kind: "trunk", ranges: [{ from: 1, to: 4094 }] } }
        : setting,
    ),
  ),
  mutant(
    "network.traffic.blocked",
    "blocks nothing",
    otherSetting((setting) => ({ ...setting, blocked: false })),
  ),
  mutant("network.traffic.override", "takes the group's setting for all its ports", (memory) => ({
    connectPort: ({ setting: _, ...input }, context) => memory.connectPort(input, context),
  })),
  mutant(
    "network.traffic.unicast",
    "is a hub",
    otherSetting((setting) => ({ ...setting, security: { ...setting.security, promiscuous: true } })),
  ),
  mutant(
    "network.security.forged",
    "lets forged frames pass",
    otherSetting((setting) => ({ ...setting, security: { ...setting.security, forgedTransmits: true } })),
  ),
  mutant(
    "network.pvlan.roles",
    "takes isolated ports for a community",
    otherSetting((setting) =>
      setting.vlan.kind === "pvlan" && setting.vlan.role === "isolated"
        ? { ...setting, vlan: { ...setting.vlan, role: "community" } }
        : setting,
    ),
  ),
  mutant(
    "network.shaping.limits",
    "lets every rate pass",
    otherSetting(({ shapingIn: _, ...setting }) => setting),
  ),
  mutant(
    "network.shaping.effective",
    "tells twice the rate",
    otherFacet("shaping", (facet) => ({
      async effectiveSetting(input, context) {
        const setting = await facet.effectiveSetting(input, context);
        const { shapingIn } = setting;
        if (shapingIn === undefined) return setting;
        return { ...setting, shapingIn: { ...shapingIn, averageBitsPerSecond: 2 * shapingIn.averageBitsPerSecond } };
      },
    })),
  ),
  mutant(
    "network.learning.nested",
    "learns nothing",
    otherSetting(({ macLearning: _, ...setting }) => setting),
  ),
  mutant(
    "network.learning.limit",
    "learns as much as comes",
    otherSetting((setting) =>
      setting.macLearning === undefined
        ? setting
        : { ...setting, macLearning: { ...setting.macLearning, limit: 1_000 } },
    ),
  ),
  mutant(
    "network.filter.order",
    "looks at the rules from the last to the first",
    otherSetting((setting) =>
      setting.filters === undefined ? setting : { ...setting, filters: [...setting.filters].reverse() },
    ),
  ),
  mutant(
    "network.filter.rate",
    "counts the rate in thousands",
    otherSetting((setting) =>
      setting.filters === undefined
        ? setting
        : {
            ...setting,
            filters: setting.filters.map((rule) =>
              rule.action.kind === "rateLimit"
                ? { ...rule, action: { kind: "rateLimit", packetsPerSecond: 1_000 * rule.action.packetsPerSecond } }
                : rule,
            ),
          },
    ),
  ),
  mutant("network.mirror.follows", "forgets the sessions of a port that moves", (memory) => ({
    async connectPort(input, context) {
      const fabric = memory.disk.get(input.switchId);
      if (fabric !== undefined && input.generation > 1) fabric.spec = { ...fabric.spec, mirrors: [] };
      return memory.connectPort(input, context);
    },
  })),
  mutant(
    "network.multicast.members",
    "floods",
    otherSpec(({ multicastSnooping: _, ...spec }) => spec),
  ),
  mutant(
    "network.flow.exported",
    "tells another domain than it was told",
    otherSpec((spec) =>
      spec.flowExport === undefined
        ? spec
        : { ...spec, flowExport: { ...spec.flowExport, observationDomainId: spec.flowExport.observationDomainId + 1 } },
    ),
  ),
  mutant(
    "network.teaming.failover",
    "knows no standby",
    otherSetting((setting) =>
      setting.teaming === undefined ? setting : { ...setting, teaming: { ...setting.teaming, standby: [] } },
    ),
  ),
  {
    breaks: "network.teaming.loop",
    how: "sends what comes in by an uplink out of the others",
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      const ends: SuiteNic[] = [];
      return {
        ...instance,
        async openUplink(_host, { name }) {
          const end = memory.openUplink(name);
          const nic: SuiteNic = {
            send(frame) {
              end.send(frame);
              for (const other of ends) if (other !== nic) other.onFrame(frame);
            },
            onFrame: () => undefined,
            close: () => end.close(),
          };
          end.onFrame = (frame) => nic.onFrame(frame);
          ends.push(nic);
          return nic;
        },
      };
    },
  },
];
