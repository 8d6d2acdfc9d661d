import type { PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { inVlan, type NetworkRequirement, openSetting, specOf } from "./network-instance.ts";
import { applied, portOf } from "./stations.ts";

const shaping = { averageBitsPerSecond: 1e6, peakBitsPerSecond: 1e6, burstBytes: 1e4, packetsPerSecond: 0 };

/** A setting that needs a facet, by the facet. */
const facetSettings: Readonly<Record<string, { readonly setting: PortSetting; readonly where: string }>> = {
  shaping: { setting: { ...openSetting, shapingIn: shaping }, where: "shapingIn" },
  pvlan: { setting: inVlan({ kind: "pvlan", primary: 10, secondary: 11, role: "isolated" }), where: "vlan" },
  accessControl: {
    setting: { ...openSetting, filters: [{ name: "f", direction: "in", match: {}, action: { kind: "drop" } }] },
    where: "filters",
  },
  teaming: {
    setting: {
      ...openSetting,
      teaming: { policy: "sourceMac", active: [], standby: [], failback: false, notifySwitches: false },
    },
    where: "teaming",
  },
  macLearning: {
    setting: { ...openSetting, macLearning: { enabled: true, limit: 1, whenFull: "drop", floodUnknown: false } },
    where: "macLearning",
  },
  dhcp: {
    setting: {
      ...openSetting,
      dhcp: {
        subnet: "192.0.2.0/24",
        serverAddress: "192.0.2.1",
        serverMac: "52:54:00:00:00:01",
        dnsServers: [],
        leaseSeconds: 3600,
      },
    },
    where: "dhcp",
  },
};

function twiceTheSameGroup(spec: SwitchSpec): SwitchSpec {
  return { ...spec, portGroups: [...spec.portGroups, ...spec.portGroups.slice(0, 1)] };
}

/** What switches and their specs must do. */
export const specRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.describe.attributes",
    title: "describe tells the fencing strength, the overhead and the kinds of attachment",
    clause: "DistributedSwitch.describe: Attributes: `fencing`, `overheadBytes`, `attachments`, `transports`",
    level: "core",
    async run({ description: { attributes } }) {
      must(["enforced", "detach", "none"].includes(String(attributes.fencing)), "'fencing' must be a fencing strength");
      must(Number.isSafeInteger(attributes.overheadBytes), "'overheadBytes' must be a number of bytes");
      for (const name of ["attachments", "transports"]) {
        const list = attributes[name];
        must(Array.isArray(list) && list.length > 0, `'${name}' must list at least one kind`);
      }
    },
  },
  {
    id: "network.validate.good",
    title: "a plain spec has no problems",
    clause: 'DistributedSwitch.validateSwitch: "Empty when the spec is good."',
    level: "core",
    async run(test) {
      const problems = await test.provider.validateSwitch({ spec: specOf(test) }, test.operation());
      mustEqual(problems, [], "the problems of a plain spec");
    },
  },
  {
    id: "network.validate.pure",
    title: "validating changes nothing and says the same again",
    clause: 'DistributedSwitch.validateSwitch: "Pure"',
    level: "core",
    async run(test) {
      for (const spec of [specOf(test), twiceTheSameGroup(specOf(test))]) {
        const first = await test.provider.validateSwitch({ spec }, test.operation());
        mustEqual(await test.provider.validateSwitch({ spec }, test.operation()), first, "the second answer");
      }
      const { items } = await test.provider.listSwitches({}, test.operation());
      mustEqual(items, [], "the switches after specs were only validated");
    },
  },
  {
    id: "network.validate.repeated",
    title: "a port group that is there twice is refused",
    clause: 'DistributedSwitch: "`validateSwitch` is pure and the only place to say no."',
    level: "core",
    async run(test) {
      const problems = await test.provider.validateSwitch({ spec: twiceTheSameGroup(specOf(test)) }, test.operation());
      must(problems.length > 0, "a spec with the same port group twice must have a problem");
    },
  },
  {
    id: "network.validate.facets",
    title: "a setting whose facet is unavailable is refused, by its path",
    clause: 'PortSetting: "A setting whose facet is unavailable is refused by `validateSwitch`, and never ignored."',
    level: "core",
    async run(test) {
      const absent = Object.entries(facetSettings).filter(
        ([facet]) => test.description.facets[facet]?.status !== "available",
      );
      if (absent.length === 0) test.skip("every facet with a setting is available");
      for (const [facet, { setting, where }] of absent) {
        const spec = specOf(test, { flat: openSetting, special: setting });
        const problems = await test.provider.validateSwitch({ spec }, test.operation());
        const found = problems.some(({ path }) => path.startsWith(`portGroups[1].setting.${where}`));
        must(found, `facet '${facet}' is unavailable, so 'portGroups[1].setting.${where}' must be refused`);
      }
    },
  },
  {
    id: "network.validate.transport",
    title: "a transport that the provider does not have is refused, by its path",
    clause: 'SwitchSpec.transport: "The attribute `transports` tells which there are."',
    level: "core",
    async run(test) {
      const transports = test.description.attributes.transports as readonly string[];
      for (const transport of ["overlay", "uplinks"] as const) {
        const spec: SwitchSpec = { ...specOf(test), transport };
        const problems = await test.provider.validateSwitch({ spec }, test.operation());
        const refused = problems.some(({ path }) => path === "transport");
        mustEqual(refused, !transports.includes(transport), `whether transport '${transport}' is refused`);
      }
    },
  },
  {
    id: "network.apply.refuses",
    title: "a spec with problems is not taken over",
    clause: 'SpecProblem: "Why a spec is refused."',
    level: "core",
    async run(test) {
      const call = test.provider.applySwitch(
        { spec: twiceTheSameGroup(specOf(test)), generation: 1 },
        test.operation(),
      );
      await mustReject(call, "INVALID_ARGUMENT", "applying a spec with problems");
    },
  },
  {
    id: "network.apply.realised",
    title: "what is applied comes into force on every member, and is told by the status",
    clause: 'DistributedSwitch: "success is the realised generation in the status of every member that is up"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      mustEqual(
        await test.provider.applySwitch({ spec, generation: 1 }, test.operation()),
        { generation: 1 },
        "the receipt",
      );
      await applied(test, spec, 1);
      await applied(test, { ...spec, mtu: 1300 }, 4);
      const status = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
      mustEqual(status.desiredGeneration, 4, "the desired generation");
      mustEqual(
        status.members.map(({ host }) => host),
        test.instance.hosts,
        "the members",
      );
    },
  },
  {
    id: "network.apply.idempotent",
    title: "the same spec with the same generation again changes nothing",
    clause: 'DistributedSwitch.applySwitch: "the same again changes nothing"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 2);
      mustEqual(
        await test.provider.applySwitch({ spec, generation: 2 }, test.operation()),
        { generation: 2 },
        "the receipt",
      );
      const { items } = await test.provider.listSwitches({}, test.operation());
      mustEqual(items, [spec], "the switches");
    },
  },
  {
    id: "network.apply.stale",
    title: "an older generation is refused and changes nothing",
    clause: 'DistributedSwitch.applySwitch: "An older generation than one seen before fails with `ABORTED`"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 5);
      const call = test.provider.applySwitch({ spec: { ...spec, mtu: 1200 }, generation: 4 }, test.operation());
      await mustReject(call, "ABORTED", "applying an older generation");
      mustEqual((await test.provider.listSwitches({}, test.operation())).items, [spec], "the switches");
    },
  },
  {
    id: "network.opaque.travels",
    title: "the vendor's own data comes back as it was given: of switch, member, port group and port",
    clause: 'SwitchSpec.opaque: "The vendor\'s own data; travels with the switch."; ConnectPort.opaque',
    level: "core",
    async run(test) {
      const plain = specOf(test);
      const spec: SwitchSpec = {
        ...plain,
        opaque: { of: "switch", deep: { list: [1, "two", null] } },
        members: plain.members.map((member) => ({ ...member, opaque: { of: member.host } })),
        portGroups: plain.portGroups.map((group) => ({ ...group, opaque: { of: group.key } })),
      };
      await applied(test, spec, 1);
      mustEqual((await test.provider.listSwitches({}, test.operation())).items, [spec], "the switch");
      const opaque = { of: "port", tags: ["a", "b"] };
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic", opaque }), test.operation());
      const { ports } = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
      mustEqual(ports.find(({ portKey }) => portKey === "nic")?.opaque, opaque, "the port's data");
    },
  },
  {
    id: "network.list.paging",
    title: "pages make up the whole list, by owner too, and an unknown token is refused",
    clause: 'PageRequest.pageToken: "A token that is unknown or too old fails with `ABORTED`"',
    level: "core",
    async run(test) {
      const owner = { datacenter: "dc-1", tenant: "t", kind: "switch", name: "two", uid: "u" };
      for (const switchId of ["one", "two", "three"]) {
        const spec = specOf(test, undefined, switchId);
        const stamped = switchId === "two" ? { ...spec, owner } : spec;
        await test.provider.applySwitch({ spec: stamped, generation: 1 }, test.operation());
      }
      const found: string[] = [];
      let pageToken: string | undefined;
      do {
        const request = { limit: 1, ...(pageToken === undefined ? {} : { pageToken }) };
        const page = await test.provider.listSwitches(request, test.operation());
        must(page.items.length <= 1, "a page must not be longer than its limit");
        found.push(...page.items.map(({ switchId }) => switchId));
        pageToken = page.nextPageToken;
      } while (pageToken !== undefined && found.length < 10);
      mustEqual(found.sort(), ["one", "three", "two"], "the switches of all pages");
      const owned = await test.provider.listSwitches({ ownerDatacenter: "dc-1" }, test.operation());
      mustEqual(
        owned.items.map(({ switchId }) => switchId),
        ["two"],
        "the switches of an owner",
      );
      const stray = test.provider.listSwitches({ pageToken: "no token of yours" }, test.operation());
      await mustReject(stray, "ABORTED", "an unknown page token");
    },
  },
  {
    id: "network.remove.absent",
    title: "a removed switch is gone, and removing it again succeeds",
    clause: 'DistributedSwitch.removeSwitch: "removing what is absent succeeds"',
    level: "core",
    async run(test) {
      const { switchId } = specOf(test);
      await test.provider.removeSwitch({ switchId }, test.operation());
      await applied(test, specOf(test), 1);
      await test.provider.removeSwitch({ switchId }, test.operation());
      await test.provider.removeSwitch({ switchId }, test.operation());
      await mustReject(test.provider.switchStatus({ switchId }, test.operation()), "NOT_FOUND", "its status");
    },
  },
  {
    id: "network.remove.connected",
    title: "a switch with connected ports is not removed",
    clause: 'DistributedSwitch.removeSwitch: "Connected ports fail it with `FAILED_PRECONDITION`"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic" }), test.operation());
      const remove = () => test.provider.removeSwitch({ switchId: spec.switchId }, test.operation());
      await mustReject(remove(), "FAILED_PRECONDITION", "removing a switch with a connected port");
      const { switchId } = spec;
      await test.provider.disconnectPort({ switchId, portKey: "nic", generation: 1 }, test.operation());
      await remove();
    },
  },
];
