import { isVdcError } from "@vdc-os/core";
import type { ConnectPort, PortBinding, PortStatus, SwitchSpec } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  defaultGroups,
  hostOf,
  inVlan,
  type NetworkRequirement,
  type NetworkTest,
  specOf,
} from "./network-instance.ts";
import { applied, portOf, Stations } from "./stations.ts";

/** Generations as they arrive when nobody has put them in order. */
const shuffled: readonly number[] = [3, 1, 6, 4, 2, 5];
const highest = Math.max(...shuffled);

/** A spec that differs from that of every other generation. */
function specAt(test: NetworkTest, generation: number): SwitchSpec {
  return specOf(test, { ...defaultGroups, red: inVlan({ kind: "access", id: 100 + generation }) });
}

function connect(test: NetworkTest, input: ConnectPort): Promise<PortBinding> {
  return test.provider.connectPort(input, test.operation());
}

/** The ports that are connected, by key. */
async function connected(test: NetworkTest, switchId: string): Promise<readonly PortStatus[]> {
  const { ports } = await test.provider.switchStatus({ switchId }, test.operation());
  return ports.filter(({ host }) => host !== "").sort((a, b) => (a.portKey < b.portKey ? -1 : 1));
}

/** What calls that come all at once must leave. */
export const concurrencyRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.concurrent.ports",
    title: "many ports that are connected at once are all there, each with a place of its own, and go at once",
    clause: 'DistributedSwitch.connectPort: "Joins a NIC to a port."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const { hosts } = test.instance;
      const keys = Array.from({ length: 12 }, (_, number) => `nic-${String(number).padStart(2, "0")}`);
      const inputs = keys.map((portKey, number) =>
        portOf(test, spec, {
          portKey,
          host: hosts[number % hosts.length] ?? hostOf(test, 0),
          portGroup: spec.portGroups[number % spec.portGroups.length]?.key ?? "",
        }),
      );
      const bindings = await Promise.all(inputs.map((input) => connect(test, input)));
      mustEqual(
        bindings.map(({ portKey, host, generation }) => [portKey, host, generation]),
        inputs.map(({ portKey, host, generation }) => [portKey, host, generation]),
        "the bindings, in the order of the calls",
      );
      const places = new Set(bindings.map(({ attachment }) => JSON.stringify(attachment)));
      mustEqual(places.size, keys.length, "the number of places that NICs are joined at");
      mustEqual(
        (await connected(test, switchId)).map(({ portKey, host, portGroup }) => [portKey, host, portGroup]),
        inputs.map(({ portKey, host, portGroup }) => [portKey, host, portGroup]),
        "the ports in the status",
      );
      const disconnects = keys.map((portKey) =>
        test.provider.disconnectPort({ switchId, portKey, generation: 1 }, test.operation()),
      );
      await Promise.all(disconnects);
      mustEqual(await connected(test, switchId), [], "the ports after all were disconnected at once");
    },
  },
  {
    id: "network.concurrent.same",
    title: "calls that connect one port at once get one binding when they are the same, and one host when they are not",
    clause:
      'ConnectPort.portKey: "the same key, host and generation again returns the same binding"; Generation: "Each object has exactly one owner."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const input = portOf(test, spec, { portKey: "nic" });
      const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => connect(test, input)));
      for (const other of others) mustEqual(other, first, "the binding of another call at once");
      mustEqual((await connected(test, switchId)).length, 1, "the number of ports");

      const hosts = [hostOf(test, 0), hostOf(test, 1)];
      const rivals = [0, 1, 0, 1].map((at) =>
        connect(test, portOf(test, spec, { portKey: "rival", host: hosts[at] ?? "" })),
      );
      const won = new Set<string>();
      for (const rival of await Promise.allSettled(rivals)) {
        if (rival.status === "fulfilled") won.add(rival.value.host);
        else {
          await mustReject(
            Promise.reject(rival.reason),
            ["ALREADY_EXISTS", "FAILED_PRECONDITION"],
            "the same generation on another host at once",
          );
        }
      }
      mustEqual(won.size, 1, "the number of hosts that one generation was connected on at once");
      const rival = (await connected(test, switchId)).find(({ portKey }) => portKey === "rival");
      mustEqual(rival?.host, [...won][0], "the host that the status tells");
    },
  },
  {
    id: "network.concurrent.owners",
    title: "of owners that come all at once the newest has the port, and those before it are fenced or cut off",
    clause: 'DistributedSwitch: "A port has one owner, known by its generation"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const { hosts } = test.instance;
      const hostAt = (generation: number): string => hosts[generation % hosts.length] ?? hostOf(test, 0);
      const calls = shuffled.map((generation) =>
        connect(test, portOf(test, spec, { portKey: "nic", generation, host: hostAt(generation) })),
      );
      for (const [index, call] of (await Promise.allSettled(calls)).entries()) {
        const generation = shuffled[index] as number;
        if (call.status === "fulfilled") mustEqual(call.value.generation, generation, "the binding's generation");
        else {
          must(generation !== highest, `the newest owner must have the port, and gets '${String(call.reason)}'`);
          await mustReject(Promise.reject(call.reason), "FAILED_PRECONDITION", "an older owner");
        }
      }
      const brief = async () =>
        (await connected(test, switchId)).map(({ portKey, host, generation }) => [portKey, host, generation]);
      mustEqual(await brief(), [["nic", hostAt(highest), highest]], "the port after all have come");
      // The one before goes while the next one comes.
      const next = portOf(test, spec, { portKey: "nic", generation: highest + 1, host: hostAt(highest + 1) });
      await Promise.all([
        test.provider.disconnectPort({ switchId, portKey: "nic", generation: highest }, test.operation()),
        connect(test, next),
      ]);
      mustEqual(await brief(), [["nic", next.host, next.generation]], "the port after an owner went as the next came");
    },
  },
  {
    id: "network.concurrent.max",
    title: "a port group takes no more ports than it may, also when they come all at once",
    clause: 'DistributedSwitch.connectPort: "a port beyond its group\'s `maxPorts` with `RESOURCE_EXHAUSTED`"',
    level: "core",
    async run(test) {
      const plain = specOf(test);
      const { hosts } = test.instance;
      const maxPorts = 3;
      const spec = { ...plain, portGroups: plain.portGroups.map((group) => ({ ...group, maxPorts })) };
      await applied(test, spec, 1);
      const calls = Array.from({ length: 8 }, (_, number) =>
        connect(test, portOf(test, spec, { portKey: `nic-${number}`, host: hosts[number % hosts.length] ?? "" })),
      );
      let taken = 0;
      for (const call of await Promise.allSettled(calls)) {
        if (call.status === "fulfilled") taken += 1;
        else await mustReject(Promise.reject(call.reason), "RESOURCE_EXHAUSTED", "a port beyond the group's");
      }
      mustEqual(taken, maxPorts, "the number of ports that were taken");
      mustEqual((await connected(test, spec.switchId)).length, maxPorts, "the number of ports in the status");
    },
  },
  {
    id: "network.concurrent.apply",
    title: "of specs that come all at once the newest holds, and an older one that comes after it is refused",
    clause: 'DistributedSwitch.applySwitch: "An older generation than one seen before fails with `ABORTED`"',
    level: "core",
    async run(test) {
      const { switchId } = specOf(test);
      const calls = shuffled.map((generation) =>
        test.provider.applySwitch({ spec: specAt(test, generation), generation }, test.operation()),
      );
      for (const [index, call] of (await Promise.allSettled(calls)).entries()) {
        if (call.status === "fulfilled") continue;
        must(shuffled[index] !== highest, `the newest spec must be taken, and gets '${String(call.reason)}'`);
        await mustReject(Promise.reject(call.reason), "ABORTED", "an older spec");
      }
      const { items } = await test.provider.listSwitches({}, test.operation());
      mustEqual(items, [specAt(test, highest)], "the switches");
      const again = { spec: specAt(test, highest), generation: highest };
      await Promise.all([0, 1, 2].map(() => test.provider.applySwitch(again, test.operation())));
      await applied(test, again.spec, highest);
      const { desiredGeneration } = await test.provider.switchStatus({ switchId }, test.operation());
      mustEqual(desiredGeneration, highest, "the generation that is desired");
    },
  },
  {
    id: "network.concurrent.apply-connect",
    title: "a port that is connected while its group changes has what the group says afterwards",
    clause:
      'DistributedSwitch: "What it accepts, `applySwitch` realises"; ConnectPort.setting: "when it differs from the port group\'s"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const input = portOf(test, spec, { portKey: "nic", portGroup: "red" });
      const changed = specOf(test, { ...defaultGroups, red: defaultGroups.blue ?? inVlan({ kind: "none" }) });
      const [binding] = await Promise.all([connect(test, input), applied(test, changed, 2)]);
      const station = await stations.plug(binding, input.mac);
      const witness = await stations.connect(changed, { portKey: "witness", portGroup: "blue" });
      await stations.mustReach([station, witness], () => true, "after the group changed");
    },
  },
  {
    id: "network.concurrent.remove",
    title: "a port that is connected while its switch is removed has a switch, or is refused",
    clause:
      'DistributedSwitch.removeSwitch: "Connected ports fail it with `FAILED_PRECONDITION`"; connectPort: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      for (const generation of [1, 2, 3]) {
        await test.provider.applySwitch({ spec, generation }, test.operation());
        const [port, removal] = await Promise.allSettled([
          connect(test, portOf(test, spec, { portKey: "nic", generation })),
          test.provider.removeSwitch({ switchId }, test.operation()),
        ]);
        const isThere = await test.provider.switchStatus({ switchId }, test.operation()).then(
          ({ ports }) => ports.some(({ portKey, host }) => portKey === "nic" && host !== ""),
          (error: unknown) => (isVdcError(error, "NOT_FOUND") ? undefined : Promise.reject(error)),
        );
        if (port.status === "fulfilled") {
          mustEqual(isThere, true, "whether the port that was connected is there");
          if (removal.status === "fulfilled") must(false, "a switch with a connected port must not be removed");
          await mustReject(
            Promise.reject((removal as PromiseRejectedResult).reason),
            "FAILED_PRECONDITION",
            "the removal",
          );
          await test.provider.disconnectPort({ switchId, portKey: "nic", generation }, test.operation());
          await test.provider.removeSwitch({ switchId }, test.operation());
        } else {
          await mustReject(Promise.reject(port.reason), "NOT_FOUND", "a port of a switch that is gone");
          mustEqual(removal.status, "fulfilled", "the removal of a switch that nobody connected to");
          mustEqual(isThere, undefined, "whether the switch is there");
        }
      }
    },
  },
];
