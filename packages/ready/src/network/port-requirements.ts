import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { hostOf, type NetworkRequirement, type NetworkTest, specOf } from "./network-instance.ts";
import { applied, portOf, Stations, untilStatus } from "./stations.ts";

async function mustBeFenced(call: Promise<unknown>, what: string): Promise<void> {
  const error = await mustReject(call, "FAILED_PRECONDITION", what);
  must(
    isVdcError(error) && error.reason === "VDC_FENCED",
    `${what} must say 'VDC_FENCED', and says '${String(error)}'`,
  );
}

async function connectedKeys(test: NetworkTest, switchId: string): Promise<readonly string[]> {
  const { ports } = await test.provider.switchStatus({ switchId }, test.operation());
  return ports
    .filter(({ host }) => host !== "")
    .map(({ portKey }) => portKey)
    .sort();
}

/** What ports and their owners must do. */
export const portRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.port.idempotent",
    title: "the same connection again returns the same binding",
    clause: 'ConnectPort.portKey: "the same key, host and generation again returns the same binding"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      const input = portOf(test, spec, { portKey: "nic", generation: 3 });
      const first = await test.provider.connectPort(input, test.operation());
      mustEqual([first.portKey, first.host, first.generation], ["nic", input.host, 3], "the binding");
      mustEqual(await test.provider.connectPort(input, test.operation()), first, "the second binding");
      mustEqual(await connectedKeys(test, spec.switchId), ["nic"], "the connected ports");
    },
  },
  {
    id: "network.port.unknown",
    title: "a port of an unknown switch or port group is refused",
    clause: 'Operation connectPort: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const input = portOf(test, spec, { portKey: "nic" });
      await mustReject(test.provider.connectPort(input, test.operation()), "NOT_FOUND", "a port of an unknown switch");
      await applied(test, spec, 1);
      const stray = test.provider.connectPort({ ...input, portGroup: "none" }, test.operation());
      await mustReject(stray, "NOT_FOUND", "a port of an unknown port group");
    },
  },
  {
    id: "network.port.fenced",
    title: "an owner of a lower generation is refused, also after the newer one has gone",
    clause:
      'Generation: "A call with a lower generation than the highest that the provider has seen ... fails with `FAILED_PRECONDITION`, reason `VDC_FENCED`."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      const old = portOf(test, spec, { portKey: "nic", generation: 2 });
      await test.provider.connectPort({ ...old, generation: 3 }, test.operation());
      await mustBeFenced(test.provider.connectPort(old, test.operation()), "an older owner");
      const { switchId } = spec;
      await test.provider.disconnectPort({ switchId, portKey: "nic", generation: 3 }, test.operation());
      await mustBeFenced(
        test.provider.connectPort(old, test.operation()),
        "an older owner, after the newer one has gone",
      );
    },
  },
  {
    id: "network.port.taken",
    title: "a generation has one owner: on another host it is refused",
    clause: 'Generation: "Each object has exactly one owner."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const host = hostOf(test, 1);
      await applied(test, spec, 1);
      const input = portOf(test, spec, { portKey: "nic" });
      await test.provider.connectPort(input, test.operation());
      const second = test.provider.connectPort({ ...input, host }, test.operation());
      await mustReject(second, ["ALREADY_EXISTS", "FAILED_PRECONDITION"], "the same generation on another host");
    },
  },
  {
    id: "network.port.takeover",
    title: "a newer owner cuts the older one off",
    clause: 'DistributedSwitch: "A port has one owner, known by its generation; frames of an older owner are refused."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const witness = await stations.connect(spec, { portKey: "witness" });
      const old = await stations.connect(spec, { portKey: "nic" });
      await stations.mustReach([witness, old], () => true, "before");
      const host = test.instance.hosts.at(-1) ?? hostOf(test, 0);
      const newer = await stations.connect(spec, { portKey: "nic", generation: 2, host });
      await stations.mustReach([witness, newer, old], (from, to) => from !== 2 && to !== 2, "after the newer one came");
    },
  },
  {
    id: "network.disconnect.absent",
    title: "disconnecting what is absent, or of an older owner, succeeds and changes nothing",
    clause: 'DistributedSwitch.disconnectPort: "An absent or older one is a success and changes nothing."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const disconnect = (portKey: string, generation: number) =>
        test.provider.disconnectPort({ switchId, portKey, generation }, test.operation());
      await disconnect("absent", 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic", generation: 2 }), test.operation());
      await disconnect("nic", 1);
      mustEqual(await connectedKeys(test, switchId), ["nic"], "the ports after an older owner left");
      await disconnect("nic", 2);
      mustEqual(await connectedKeys(test, switchId), [], "the ports after the owner left");
      await disconnect("nic", 2);
    },
  },
  {
    id: "network.revoke.cuts",
    title: "a revoked owner is cut off, and comes back only with a higher generation",
    clause: 'DistributedSwitch.revokePort: "Cuts off every owner up to and including this generation, durably."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const input = portOf(test, spec, { portKey: "nic", generation: 4 });
      await test.provider.connectPort(input, test.operation());
      await test.provider.revokePort({ switchId, portKey: "nic", generation: 6 }, test.operation());
      mustEqual(await connectedKeys(test, switchId), [], "the ports after the owner was revoked");
      await mustBeFenced(
        test.provider.connectPort({ ...input, generation: 6 }, test.operation()),
        "a revoked generation",
      );
      await test.provider.connectPort({ ...input, generation: 7 }, test.operation());
      await test.provider.revokePort({ switchId, portKey: "nic", generation: 6 }, test.operation());
      mustEqual(await connectedKeys(test, switchId), ["nic"], "the ports after an older owner was revoked again");
    },
  },
  {
    id: "network.port.max",
    title: "a port group takes no more ports than it may, until one leaves",
    clause: 'DistributedSwitch.connectPort: "a port beyond its group\'s `maxPorts` with `RESOURCE_EXHAUSTED`"',
    level: "core",
    async run(test) {
      const plain = specOf(test);
      const { switchId } = plain;
      const spec = { ...plain, portGroups: plain.portGroups.map((group) => ({ ...group, maxPorts: 1 })) };
      await applied(test, spec, 1);
      const connect = (portKey: string, portGroup: string) =>
        test.provider.connectPort(portOf(test, spec, { portKey, portGroup }), test.operation());
      await connect("first", "red");
      await connect("first", "red");
      await connect("other", "blue");
      await mustReject(connect("second", "red"), "RESOURCE_EXHAUSTED", "a second port of a group for one");
      await test.provider.disconnectPort({ switchId, portKey: "first", generation: 1 }, test.operation());
      await connect("second", "red");
    },
  },
  {
    id: "network.garbage.unknown",
    title: "garbage collection disconnects what nobody knows, and tells which",
    clause:
      'DistributedSwitch.collectGarbage: "Disconnects the ports that are not in `known`, and returns their keys."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      for (const portKey of ["a", "b", "c"]) {
        await test.provider.connectPort(portOf(test, spec, { portKey }), test.operation());
      }
      const gone = await test.provider.collectGarbage({ switchId, known: ["b", "absent"] }, test.operation());
      mustEqual([...gone].sort(), ["a", "c"], "the keys of what was disconnected");
      mustEqual(await connectedKeys(test, switchId), ["b"], "the ports that stay");
    },
  },
  {
    id: "network.durable.restart",
    title: "what was acknowledged outlives the implementation's process",
    clause: 'DistributedSwitch: "Desired state is given whole"; revokePort: "durably"',
    level: "core",
    async run(test) {
      const { restart } = test.instance;
      if (restart === undefined) return test.skip("the factory gives no 'restart'");
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 3);
      const input = portOf(test, spec, { portKey: "nic", generation: 2 });
      const binding = await test.provider.connectPort(input, test.operation());
      const revoked = portOf(test, spec, { portKey: "revoked" });
      await test.provider.connectPort(revoked, test.operation());
      await test.provider.revokePort({ switchId, portKey: "revoked", generation: 1 }, test.operation());
      const provider = await test.wrap(await restart.call(test.instance));
      mustEqual((await provider.listSwitches({}, test.operation())).items, [spec], "the switches after a restart");
      const after: NetworkTest = { ...test, provider };
      await untilStatus(after, switchId, ({ members }) =>
        members.every(({ state, realizedGeneration }) => state === "up" && realizedGeneration === 3),
      );
      mustEqual(await connectedKeys(after, switchId), ["nic"], "the connected ports after a restart");
      mustEqual(await provider.connectPort(input, test.operation()), binding, "the binding after a restart");
      await mustBeFenced(provider.connectPort(revoked, test.operation()), "a revoked owner after a restart");
      const older = provider.applySwitch({ spec, generation: 2 }, test.operation());
      await mustReject(older, "ABORTED", "an older generation after a restart");
    },
  },
];
