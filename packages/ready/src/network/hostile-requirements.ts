import type { FilterMatch, PortBinding } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { strangeIds } from "../suite/strange-ids.ts";
import {
  defaultGroups,
  hostOf,
  type NetworkRequirement,
  type NetworkTest,
  openSetting,
  specOf,
} from "./network-instance.ts";
import { applied, portOf, Stations } from "./stations.ts";

/** Ids that are one when what is strange in them is dropped, or made something else. */
const lookalikes: readonly string[] = ["a b", "a_b", "a-b", "a.b", "A/B", "a//b", "a%2Fb"];

/** What is no prefix, though it begins or ends as one. */
const strangePrefixes: readonly string[] = [
  "",
  "192.0.2.0",
  "192.0.2.0/33",
  "192.0.2.0/24 || 1",
  "192.0.2.0/24,nw_proto=6",
  "192.0.2.0/24\nactions=NORMAL",
  "0x7f000001/8",
  "fe80::1%eth0/64",
  "2001:db8::/129",
  "/24",
];

const strangeAddresses: readonly string[] = [
  "",
  "unknown",
  "dynamic",
  "192.0.2.1 unknown",
  "192.0.2.1/24",
  "fe80::1%eth0",
  "192.0.2.1\n",
];

/** What is connected of a switch: key and place of each port. */
async function connectedKeys(test: NetworkTest, switchId: string): Promise<readonly string[]> {
  const { ports } = await test.provider.switchStatus({ switchId }, test.operation());
  return ports.flatMap(({ portKey, host }) => (host === "" ? [] : [portKey])).sort();
}

/** What a call returns; nothing where it is refused. */
async function orRefused<T>(call: Promise<T>, what: string): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    await mustReject(Promise.reject(error), "INVALID_ARGUMENT", what);
    return undefined;
  }
}

/** What names and values must do that were made to be taken for something else. */
export const hostileRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.hostile.ports",
    title: "a port's key is taken as it is, or refused: no two ports are one, and no other one is touched",
    clause: 'ConnectPort.portKey: "The caller\'s key of the port, unique on the switch"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const keys = ["nic", ...strangeIds, ...lookalikes];
      const calls = keys.map((portKey) =>
        orRefused(test.provider.connectPort(portOf(test, spec, { portKey }), test.operation()), `a port '${portKey}'`),
      );
      const bindings = (await Promise.all(calls)).flatMap((binding): PortBinding[] => (binding ? [binding] : []));
      const taken = bindings.map(({ portKey }) => portKey).sort();
      must(taken.includes("nic"), "a port of a plain key must be taken");
      must(
        taken.every((key) => keys.includes(key)),
        `a key must come back as it was: ${JSON.stringify(taken)}`,
      );
      mustEqual(await connectedKeys(test, switchId), taken, "the ports in the status");
      mustEqual(
        new Set(bindings.map(({ attachment }) => JSON.stringify(attachment))).size,
        taken.length,
        "the number of places that NICs are joined at",
      );
      const counted = await test.provider.portStatistics({ switchId, portKeys: taken }, test.operation());
      mustEqual(counted.map(({ portKey }) => portKey).sort(), taken, "the ports that statistics tell");
      for (const portKey of strangeIds) {
        const call = test.provider.disconnectPort({ switchId, portKey, generation: 1 }, test.operation());
        await orRefused(call, `a disconnect of '${portKey}'`);
      }
      const left = ["nic", ...lookalikes.filter((key) => taken.includes(key))].sort();
      mustEqual(await connectedKeys(test, switchId), left, "the ports after the strange ones were disconnected");
      const gone = await test.provider.collectGarbage({ switchId, known: ["nic", ...strangeIds] }, test.operation());
      mustEqual(
        [...gone].sort(),
        left.filter((key) => key !== "nic"),
        "what garbage collection disconnected",
      );
    },
  },
  {
    id: "network.hostile.switches",
    title: "a switch's id, and its groups' keys, are taken as they are, or refused",
    clause:
      'DistributedSwitch: "`validateSwitch` is pure and the only place to say no. What it accepts, `applySwitch` realises"',
    level: "core",
    async run(test) {
      const strange = ["../../up", "__proto__", "nul\u0000byte", "line\nbreak", "a,b=c", "é".repeat(100)];
      const plain = specOf(test);
      await applied(test, plain, 1);
      const taken: string[] = [];
      await Promise.all(
        strange.map(async (switchId, number) => {
          const spec = { ...specOf(test, { [switchId]: openSetting }, switchId), name: `strange-${number}` };
          const named = { ...spec, portGroups: spec.portGroups.map((group) => ({ ...group, name: "group" })) };
          const problems = await test.provider.validateSwitch({ spec: named }, test.operation());
          const call = test.provider.applySwitch({ spec: named, generation: 1 }, test.operation());
          if (problems.length > 0) return mustReject(call, "INVALID_ARGUMENT", "a spec that has problems");
          await call;
          const input = portOf(test, named, { portKey: "nic", portGroup: switchId });
          mustEqual(
            (await test.provider.connectPort(input, test.operation())).switchId,
            switchId,
            "a binding's switch",
          );
          mustEqual(await connectedKeys(test, switchId), ["nic"], `the ports of '${switchId}'`);
          taken.push(switchId);
          return undefined;
        }),
      );
      const listed = async () =>
        (await test.provider.listSwitches({}, test.operation())).items.map(({ switchId }) => switchId).sort();
      mustEqual(await listed(), [plain.switchId, ...taken].sort(), "the ids of the switches");
      await Promise.all(
        strange.map(async (switchId) => {
          const port = { switchId, portKey: "nic", generation: 1 };
          await orRefused(test.provider.disconnectPort(port, test.operation()), `a disconnect from '${switchId}'`);
          await orRefused(test.provider.removeSwitch({ switchId }, test.operation()), `a removal of '${switchId}'`);
          const codes = ["NOT_FOUND", "INVALID_ARGUMENT"] as const;
          await mustReject(test.provider.switchStatus({ switchId }, test.operation()), codes, "its status after that");
        }),
      );
      mustEqual(await listed(), [plain.switchId], "the ids after the strange ones were removed");
    },
  },
  {
    id: "network.hostile.places",
    title: "a port group or a host that is none is refused, whatever it is called",
    clause:
      'DistributedSwitch.connectPort: "a host that is no member with `FAILED_PRECONDITION`"; errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      for (const strange of strangeIds) {
        const group = portOf(test, spec, { portKey: "nic", portGroup: strange });
        const codes = ["NOT_FOUND", "INVALID_ARGUMENT"] as const;
        await mustReject(test.provider.connectPort(group, test.operation()), codes, `a port group '${strange}'`);
        const host = portOf(test, spec, { portKey: "nic", host: strange });
        const call = test.provider.connectPort(host, test.operation());
        await mustReject(call, ["FAILED_PRECONDITION", "INVALID_ARGUMENT"], `a host '${strange}'`);
      }
      mustEqual(await connectedKeys(test, spec.switchId), [], "the ports after that");
    },
  },
  {
    id: "network.hostile.addresses",
    title: "what is no IP address is refused as a VM's address",
    clause: 'ConnectPort.addresses: "What is no IP address fails with `INVALID_ARGUMENT`."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      for (const strange of strangeAddresses) {
        const input = portOf(test, spec, { portKey: "nic", addresses: ["192.0.2.7", strange] });
        const call = test.provider.connectPort(input, test.operation());
        await mustReject(call, "INVALID_ARGUMENT", `an address '${strange}'`);
      }
      mustEqual(await connectedKeys(test, spec.switchId), [], "the ports after that");
      const good = portOf(test, spec, { portKey: "nic", addresses: ["192.0.2.7", "2001:db8::7"] });
      await test.provider.connectPort(good, test.operation());
    },
  },
  {
    id: "network.hostile.filters",
    title: "a filter's name is a name, whatever is in it, and a prefix that is none is refused",
    clause: 'FilterMatch.sourcePrefix: "An IPv4 or IPv6 prefix in CIDR notation."',
    level: "core",
    facet: "accessControl",
    async run(test) {
      const specWith = (name: string, match: FilterMatch) =>
        specOf(test, {
          ...defaultGroups,
          flat: { ...openSetting, filters: [{ name, direction: "in", match, action: { kind: "accept" } }] },
        });
      for (const strange of strangePrefixes) {
        for (const side of ["sourcePrefix", "destinationPrefix"] as const) {
          const spec = specWith("f", { [side]: strange });
          const problems = await test.provider.validateSwitch({ spec }, test.operation());
          must(problems.length > 0, `a ${side} '${strange}' must be a problem`);
          const call = test.provider.applySwitch({ spec, generation: 1 }, test.operation());
          await mustReject(call, "INVALID_ARGUMENT", `a ${side} '${strange}'`);
        }
      }
      mustEqual((await test.provider.listSwitches({}, test.operation())).items, [], "the switches after that");
      const filters = strangeIds.map(
        (name) => ({ name, direction: "in", match: {}, action: { kind: "accept" } }) as const,
      );
      const spec = specOf(test, { ...defaultGroups, flat: { ...openSetting, filters } });
      const problems = await test.provider.validateSwitch({ spec }, test.operation());
      if (problems.length > 0) {
        const call = test.provider.applySwitch({ spec, generation: 1 }, test.operation());
        await mustReject(call, "INVALID_ARGUMENT", "a spec that has problems");
        return;
      }
      await applied(test, spec, 1);
      mustEqual((await test.provider.listSwitches({}, test.operation())).items, [spec], "the switches");
      await using stations = new Stations(test);
      const one = await stations.connect(spec, { portKey: "one" });
      const other = await stations.connect(spec, {
        portKey: "other",
        host: test.instance.hosts.at(-1) ?? hostOf(test, 0),
      });
      await stations.mustReach([one, other], () => true, "through filters of strange names");
    },
  },
  {
    id: "network.hostile.opaque",
    title: "the vendor's own data comes back as it was, whatever its names are",
    clause: 'PortGroupSpec.opaque: "The vendor\'s own data; travels with the port group."',
    level: "core",
    async run(test) {
      // A schema drops '__proto__' from what it lets through.
      const named = strangeIds.filter((id) => id !== "__proto__").map((id) => [id, id]);
      const opaque = { ...Object.fromEntries(named), constructor: { prototype: { polluted: true } } };
      const plain = specOf(test);
      const spec = { ...plain, opaque, portGroups: plain.portGroups.map((group) => ({ ...group, opaque })) };
      await applied(test, spec, 1);
      const { items } = await test.provider.listSwitches({}, test.operation());
      mustEqual(items, [spec], "the switches");
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic", opaque }), test.operation());
      const { ports } = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
      mustEqual(ports[0]?.opaque, opaque, "the port's data in the status");
      mustEqual(Reflect.get({}, "polluted"), undefined, "what every object has");
    },
  },
  {
    id: "network.hostile.tokens",
    title: "a page token that was made up is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`",
    level: "core",
    async run(test) {
      await applied(test, specOf(test), 1);
      for (const pageToken of ["", "0", "-1", "certified", "e30=", "{}", "null", "\u0000", "x".repeat(1024)]) {
        const call = test.provider.listSwitches({ pageToken }, test.operation());
        await mustReject(call, ["ABORTED", "INVALID_ARGUMENT"], `page token '${pageToken.slice(0, 40)}'`);
      }
    },
  },
  {
    id: "network.list.changes",
    title: "a switch that stays is listed once while others come and go between pages",
    clause: 'PageRequest: "The token that the page before returned."',
    level: "core",
    async run(test) {
      const apply = (switchId: string) =>
        test.provider.applySwitch({ spec: specOf(test, {}, switchId), generation: 1 }, test.operation());
      for (const switchId of ["a", "c", "e", "g"]) await apply(switchId);
      const seen: string[] = [];
      let pageToken: string | undefined;
      do {
        const input = pageToken === undefined ? { limit: 1 } : { limit: 1, pageToken };
        const page = await test.provider.listSwitches(input, test.operation());
        seen.push(...page.items.map(({ switchId }) => switchId));
        pageToken = page.nextPageToken;
        must(seen.length <= 10, "a list must end");
        if (seen.length === 1) {
          await test.provider.removeSwitch({ switchId: seen[0] ?? "" }, test.operation());
          await apply("z");
        }
      } while (pageToken !== undefined);
      const stayed = ["a", "c", "e", "g"].filter((id) => id !== seen[0]);
      mustEqual(
        stayed.map((id) => seen.filter((one) => one === id).length),
        stayed.map(() => 1),
        `how often each switch that stayed was listed (${seen.join(", ")})`,
      );
    },
  },
];
