import type { MigrationTicket, SwitchSpec } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { hostOf, type NetworkRequirement, type NetworkTest, specOf } from "./network-instance.ts";
import { statisticsOf, untilStatistics } from "./statistics.ts";
import { applied, type Station, Stations, untilStatus } from "./stations.ts";

const port = { switchId: "certified", portKey: "nic" };

interface Moving {
  readonly spec: SwitchSpec;
  readonly witness: Station;
  readonly source: Station;
}

async function begin(test: NetworkTest, stations: Stations): Promise<Moving> {
  hostOf(test, 1);
  const spec = specOf(test);
  await applied(test, spec, 1);
  const witness = await stations.connect(spec, { portKey: "witness" });
  const source = await stations.connect(spec, { portKey: "nic" });
  await stations.mustReach([witness, source], () => true, "before the move");
  return { spec, witness, source };
}

function prepare(test: NetworkTest, targetHost: string, generation = 2): Promise<MigrationTicket> {
  return test.facet("migration").prepareMigration({ ...port, targetHost, generation }, test.operation());
}

/** Resolves when the status tells the port on this host with its link up. */
async function untilOn(test: NetworkTest, host: string): Promise<void> {
  await untilStatus(test, port.switchId, ({ ports }) =>
    ports.some((each) => each.portKey === port.portKey && each.host === host && each.link === "up"),
  );
}

function brief({ ticket, targetHost, state }: MigrationTicket): readonly string[] {
  return [ticket, targetHost, state];
}

/** What moves of ports between hosts must do. */
export const migrationRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.migration.switch-over",
    title: "a prepared target says nothing; from the activation on it alone speaks and hears",
    clause: "PortMigrationFacet: \"from then on the new owner's frames pass and the old owner's do not\"",
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      const { ticket, target, sourceHost, state } = await prepare(test, hostOf(test, 1));
      mustEqual(
        [sourceHost, state, target.host, target.generation],
        [hostOf(test, 0), "prepared", hostOf(test, 1), 2],
        "the ticket",
      );
      const moved = await stations.plug(target, source.mac);
      moved.say("too early");
      await stations.mustReach([witness, source], () => true, "while the move is prepared");
      mustEqual((await facet.activateMigration({ ticket }, test.operation())).state, "activated", "the ticket's state");
      await untilOn(test, hostOf(test, 1));
      await stations.mustReach([witness, moved, source], (from, to) => from !== 2 && to !== 2, "after the activation");
      witness.say("straight", { to: moved.mac });
      await moved.hears("straight");
      mustEqual(witness.heardOf("too early"), [], "what the target said before it was activated");
      mustEqual((await facet.completeMigration({ ticket }, test.operation())).state, "completed", "the ticket's state");
      await stations.mustReach([witness, moved, source], (from, to) => from !== 2 && to !== 2, "after the completion");
      mustEqual(await facet.listMigrations({ switchId: port.switchId }, test.operation()), [], "the moves under way");
    },
  },
  {
    id: "network.migration.abort",
    title: "a move that is taken back leaves the source as it was, and the next one works",
    clause: 'PortMigrationFacet: "`abortMigration`, which a prepared move alone allows, the target\'s"',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      const first = await prepare(test, hostOf(test, 1));
      const { state } = await facet.abortMigration({ ticket: first.ticket }, test.operation());
      mustEqual(state, "aborted", "the ticket's state");
      await stations.mustReach([witness, source], () => true, "after the move was taken back");
      const second = await prepare(test, hostOf(test, 1), 3);
      const moved = await stations.plug(second.target, source.mac);
      await facet.activateMigration({ ticket: second.ticket }, test.operation());
      const late = facet.abortMigration({ ticket: second.ticket }, test.operation());
      await mustReject(late, "FAILED_PRECONDITION", "taking back a move that is activated");
      await untilOn(test, hostOf(test, 1));
      await facet.completeMigration({ ticket: second.ticket }, test.operation());
      await stations.mustReach([witness, moved, source], (from, to) => from !== 2 && to !== 2, "after the second move");
    },
  },
  {
    id: "network.migration.repeat",
    title: "a step that is repeated succeeds with the same ticket; a port has one move at a time",
    clause: 'PortMigrationFacet: "A step that is repeated succeeds with the same ticket"',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      await begin(test, stations);
      const first = await prepare(test, hostOf(test, 1));
      mustEqual(await prepare(test, hostOf(test, 1)), first, "the ticket of the same move");
      await mustReject(prepare(test, hostOf(test, 1), 3), "FAILED_PRECONDITION", "another move of the port");
      const { ticket } = first;
      mustEqual(await facet.listMigrations({ switchId: port.switchId }, test.operation()), [first], "the moves");
      const activated = await facet.activateMigration({ ticket }, test.operation());
      const again = await facet.activateMigration({ ticket }, test.operation());
      mustEqual(brief(again), brief(activated), "the ticket, activated again");
      const completed = await facet.completeMigration({ ticket }, test.operation());
      mustEqual(
        brief(await facet.completeMigration({ ticket }, test.operation())),
        brief(completed),
        "the ticket, completed again",
      );
      await mustReject(
        facet.activateMigration({ ticket: "none" }, test.operation()),
        "NOT_FOUND",
        "activating an unknown move",
      );
    },
  },
  {
    id: "network.migration.own-host",
    title: "a port does not move to the host that it is on, and stays connected there",
    clause:
      'PortMigrationFacet: "another move of it fails with `FAILED_PRECONDITION`, and so does one to its own host"',
    level: "extended",
    facet: "migration",
    async run(test) {
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      await mustReject(prepare(test, hostOf(test, 0)), "FAILED_PRECONDITION", "a move to the port's own host");
      const moves = await test.facet("migration").listMigrations({ switchId: port.switchId }, test.operation());
      mustEqual(moves, [], "the moves");
      await stations.mustReach([witness, source], () => true, "after the move that was refused");
    },
  },
  {
    id: "network.migration.twice",
    title: "a port moves there and back",
    clause: 'PortMigrationFacet: "Facet `migration`: network VMotion"',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      let now = source;
      for (const [index, host] of [hostOf(test, 1), hostOf(test, 0), hostOf(test, 1)].entries()) {
        const { ticket, target } = await prepare(test, host, index + 2);
        const before = now;
        now = await stations.plug(target, source.mac);
        await facet.activateMigration({ ticket }, test.operation());
        await untilOn(test, host);
        await stations.mustReach(
          [witness, now, before],
          (from, to) => from < 2 && to < 2,
          `while the move to '${host}' is activated`,
        );
        await before.nic.close();
        await facet.completeMigration({ ticket }, test.operation());
        await stations.mustReach([witness, now], () => true, `after the move to '${host}'`);
      }
    },
  },
  {
    id: "network.migration.durable",
    title: "a ticket outlives the implementation's process",
    clause: 'MigrationTicket: "It outlives both hosts, and the provider\'s process."',
    level: "extended",
    facet: "migration",
    async run(test) {
      const { restart } = test.instance;
      if (restart === undefined) return test.skip("the factory gives no 'restart'");
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      const first = await prepare(test, hostOf(test, 1));
      const provider = await test.wrap(await restart.call(test.instance));
      const facet = provider.facets?.migration;
      must(facet !== undefined, "the facet must be there after a restart");
      mustEqual(await facet.listMigrations({ switchId: port.switchId }, test.operation()), [first], "the moves");
      const { ticket, target } = first;
      const moved = await stations.plug(target, source.mac);
      await facet.activateMigration({ ticket }, test.operation());
      await untilOn({ ...test, provider }, hostOf(test, 1));
      await facet.completeMigration({ ticket }, test.operation());
      await stations.mustReach([witness, moved], () => true, "after a move that a restart interrupted");
    },
  },
  {
    id: "network.migration.statistics",
    title: "counters go on where they were",
    clause:
      'PortMigrationFacet: "Statistics, learned addresses, ... are the port\'s, and so are at the target as they were at the source."',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      const { witness, source } = await begin(test, stations);
      const before = await statisticsOf(test, "nic");
      const { ticket, target } = await prepare(test, hostOf(test, 1));
      const moved = await stations.plug(target, source.mac);
      await facet.activateMigration({ ticket }, test.operation());
      await untilOn(test, hostOf(test, 1));
      await facet.completeMigration({ ticket }, test.operation());
      await stations.mustReach([witness, moved], () => true, "after the move");
      const counters = ["framesIn", "bytesIn", "framesForwarded", "framesOut", "bytesOut"] as const;
      await untilStatistics(test, "nic", (after) => {
        for (const name of counters) {
          must(BigInt(after[name]) >= BigInt(before[name]), `'${name}' went from ${before[name]} to ${after[name]}`);
        }
        return counters.every((name) => BigInt(after[name]) > BigInt(before[name]));
      });
    },
  },
  {
    id: "network.migration.state",
    title: "what moves with a port can be taken out, and taken over by another",
    clause: 'PortMigrationFacet.importPortState: "Takes over what moved with a port. Counters go on from there."',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      await using stations = new Stations(test);
      const { spec } = await begin(test, stations);
      const state = await facet.exportPortState(port, test.operation());
      mustEqual(state.setting, spec.portGroups[0]?.setting, "the setting");
      await stations.connect(spec, { portKey: "heir" });
      const heir = { switchId: port.switchId, portKey: "heir" };
      await facet.importPortState({ ...heir, state: { ...state, portKey: "heir" } }, test.operation());
      const now = await statisticsOf(test, "heir");
      for (const name of ["framesIn", "bytesIn", "framesOut", "bytesOut"] as const) {
        must(
          BigInt(now[name]) >= BigInt(state.statistics[name]),
          `'${name}' was ${state.statistics[name]}, and is ${now[name]} at the heir`,
        );
      }
    },
  },
];
