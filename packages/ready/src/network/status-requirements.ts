import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { hostOf, type NetworkRequirement, specOf } from "./network-instance.ts";
import { countedIn, statisticsOf, untilStatistics } from "./statistics.ts";
import { applied, portOf, Stations, untilStatus } from "./stations.ts";

/** What the status, its watch and the counters must do. */
export const statusRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.status.port",
    title: "the status tells a port's place, owner and link",
    clause: 'PortStatus: "A port as it is."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nobody" }), test.operation());
      await using stations = new Stations(test);
      await stations.connect(spec, { portKey: "nic", portGroup: "red", generation: 3 });
      const { ports } = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
      const brief = [...ports]
        .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
        .map(({ portKey, portGroup, host, generation, link, gate }) => [
          portKey,
          portGroup,
          host,
          generation,
          link,
          gate,
        ]);
      const host = hostOf(test, 0);
      mustEqual(
        brief,
        [
          ["nic", "red", host, 3, "up", "open"],
          ["nobody", "flat", host, 1, "down", "open"],
        ],
        "the ports, one of which has no VM",
      );
    },
  },
  {
    id: "network.watch.level",
    title: "a watch begins with what is, and tells what comes",
    clause: 'WatchItem: "what counts is the object in the latest item"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await mustReject(
        test.provider.watchSwitch({ switchId }, test.operation())[Symbol.asyncIterator]().next(),
        "NOT_FOUND",
        "watching an unknown switch",
      );
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "early" }), test.operation());
      const controller = new AbortController();
      const watch = test.provider
        .watchSwitch({ switchId }, test.operation({ signal: controller.signal }))
        [Symbol.asyncIterator]();
      const first = await watch.next();
      must(first.done !== true && first.value.type === "added", "the first item must be 'added'");
      mustEqual(
        first.value.object.ports.map(({ portKey }) => portKey),
        ["early"],
        "the ports of the first item",
      );
      await test.provider.connectPort(portOf(test, spec, { portKey: "late" }), test.operation());
      for (;;) {
        const item = await watch.next();
        must(item.done !== true, "the watch must go on");
        if (item.value.type === "resync") continue;
        if (item.value.object.ports.some(({ portKey }) => portKey === "late")) break;
      }
      controller.abort();
      await watch.return?.();
    },
  },
  {
    id: "network.watch.bounded-memory",
    title: "a watch that is left keeps nothing, and neither does a look at the status",
    clause: "OperationContext: it ends with its call, and what listens to its signal with it",
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic" }), test.operation());
      await mustKeepNoMemory(
        async () => {
          const watch = test.provider.watchSwitch({ switchId }, test.operation())[Symbol.asyncIterator]();
          await watch.next();
          await watch.return?.();
          await test.provider.switchStatus({ switchId }, test.operation());
        },
        { calls: 60, bytesPerCall: 8_192, timeMs: 20_000 },
      );
    },
  },
  {
    id: "network.statistics.counts",
    title: "every frame from the VM is counted, and a drop has its reason",
    clause: 'PortStatistics: "`framesIn` is `framesForwarded`, `framesHeld` and all of `dropsIn` together"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const one = await stations.connect(spec, { portKey: "one", portGroup: "red" });
      const two = await stations.connect(spec, { portKey: "two", portGroup: "red" });
      one.say("passes");
      one.say("dropped", { tag: 20 });
      one.say("passes too");
      await two.hears("passes too");
      const sent = await untilStatistics(test, "one", ({ framesIn }) => BigInt(framesIn) >= 3n);
      mustEqual(sent.framesIn, "3", "the frames that came in");
      must(BigInt(sent.bytesIn) >= 180n, `three frames of 60 octets must count, and ${sent.bytesIn} octets do`);
      const dropped = test.description.attributes.countsDrops === false ? "0" : "1";
      mustEqual(String(countedIn(sent.dropsIn)), dropped, "the frames that were dropped");
      const got = await untilStatistics(test, "two", ({ framesOut }) => BigInt(framesOut) >= 2n);
      must(BigInt(got.bytesOut) >= 120n, `two frames of 60 octets must count, and ${got.bytesOut} octets do`);
      const all = await test.provider.portStatistics({ switchId: spec.switchId }, test.operation());
      mustEqual(all.map(({ portKey }) => portKey).sort(), ["one", "two"], "the ports that statistics tell");
    },
  },
  {
    id: "network.statistics.adds-up",
    title: "what came in is forwarded, held or dropped: the counters add up",
    clause: 'PortStatistics: "they add up"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const one = await stations.connect(spec, { portKey: "one", portGroup: "red" });
      const two = await stations.connect(spec, { portKey: "two", portGroup: "red" });
      await stations.mustReach([one, two], () => true, "at first");
      one.say("to nobody", { to: "52:54:00:ff:00:01" });
      one.say("tagged", { tag: 20 });
      one.say("last");
      await two.hears("last");
      await untilStatistics(test, "one", (counters) => {
        const known = BigInt(counters.framesForwarded) + BigInt(counters.framesHeld) + countedIn(counters.dropsIn);
        must(known <= BigInt(counters.framesIn), `${known} frames are told of ${counters.framesIn} that came in`);
        return known === BigInt(counters.framesIn) && BigInt(counters.framesIn) >= 4n;
      });
    },
  },
  {
    id: "network.statistics.monotone",
    title: "counters never go back, also when a port moves to a newer owner",
    clause: 'PortStatistics: "They never go back, also across a migration"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const witness = await stations.connect(spec, { portKey: "witness" });
      const old = await stations.connect(spec, { portKey: "nic" });
      await stations.mustReach([witness, old], () => true, "before the move");
      const before = await statisticsOf(test, "nic");
      const host = test.instance.hosts.at(-1) ?? hostOf(test, 0);
      const newer = await stations.connect(spec, { portKey: "nic", generation: 2, host });
      const moved = await statisticsOf(test, "nic");
      for (const name of ["framesIn", "bytesIn", "framesOut", "bytesOut"] as const) {
        must(BigInt(moved[name]) >= BigInt(before[name]), `'${name}' went back from ${before[name]} to ${moved[name]}`);
      }
      await stations.mustReach([witness, newer], () => true, "after the move");
      await untilStatistics(test, "nic", ({ framesIn }) => BigInt(framesIn) > BigInt(before.framesIn));
      await untilStatus(test, spec.switchId, ({ ports }) => ports.every(({ link }) => link === "up"));
    },
  },
];
