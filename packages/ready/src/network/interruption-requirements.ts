import type { OperationContext } from "@vdc-os/core";
import type { DistributedSwitch, PortMigrationFacet } from "@vdc-os/core/network/v1";
import { cutOff } from "../suite/crash-in-call.ts";
import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import { mustEqualSoon } from "../suite/patience.ts";
import {
  apply,
  applyEverywhere,
  connect,
  cutShort,
  disconnect,
  giveUp,
  portsOf,
  reopenOf,
  specAt,
} from "./interrupted-calls.ts";
import { defaultGroups, hostOf, type NetworkRequirement, specOf } from "./network-instance.ts";
import { applied, portOf } from "./stations.ts";

const whole =
  'DistributedSwitch: "A call that is given up, or that its provider\'s end cuts off, is done or not at all, and a repeat completes it."';
const late =
  'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."';

/** What calls that are given up, come too late, or are cut off must leave. */
export const interruptionRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.cancel.apply",
    title: "a spec that is given up at any moment holds or the one before it does, and a repeat completes it",
    clause: whole,
    level: "core",
    run: (test) => giveUp(test, apply),
  },
  {
    id: "network.cancel.connect",
    title: "a connection that is given up at any moment is there or not, and a repeat makes one of it",
    clause: whole,
    level: "core",
    run: (test) => giveUp(test, connect),
  },
  {
    id: "network.cancel.disconnect",
    title: "a disconnection that is given up at any moment leaves the port or not, and a repeat ends it",
    clause: whole,
    level: "core",
    run: (test) => giveUp(test, disconnect),
  },
  {
    id: "network.cancel.migration",
    title: "a move that is given up while it is prepared is there once or not, and can be repeated and taken back",
    clause: 'PortMigrationFacet: "A step that is repeated succeeds with the same ticket; a ticket can always be ended"',
    level: "extended",
    facet: "migration",
    async run(test) {
      const facet = test.facet("migration");
      const spec = specOf(test);
      const { switchId } = spec;
      const [source, targetHost] = [hostOf(test, 0), hostOf(test, 1)];
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic" }), test.operation());
      const input = (step: number) => ({ switchId, portKey: "nic", targetHost, generation: step + 2 });
      const moves = async () =>
        (await facet.listMigrations({ switchId }, test.operation())).map(({ ticket }) => ticket);
      await giveUpAtEveryStep(test, {
        what: "a prepared move",
        call: (operation, step) => facet.prepareMigration(input(step), operation),
        async look(step) {
          const { ticket } = await facet.prepareMigration(input(step), test.operation());
          mustEqual(await moves(), [ticket], "the moves under way after a repeat");
          await facet.abortMigration({ ticket }, test.operation());
          mustEqual(await moves(), [], "the moves under way after it was taken back");
          mustEqual(await portsOf(test, switchId), [["nic", source, 1]], "the port after that");
        },
      });
    },
  },
  {
    id: "network.deadline.calls",
    title: "a change that is asked for after its deadline fails with DEADLINE_EXCEEDED, and is not made",
    clause: late,
    level: "core",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      const { provider } = test;
      const other = specOf(test, defaultGroups, "another");
      await applied(test, spec, 1);
      const input = portOf(test, spec, { portKey: "nic" });
      const binding = await provider.connectPort(input, test.operation());
      const port = { switchId, portKey: "nic", generation: 1 };
      await mustBeOverdue(test, {
        applySwitch: (operation) => provider.applySwitch({ spec: specAt(test, 2), generation: 2 }, operation),
        "applySwitch of a new one": (operation) => provider.applySwitch({ spec: other, generation: 1 }, operation),
        removeSwitch: (operation) => provider.removeSwitch({ switchId: "absent" }, operation),
        connectPort: (operation) => provider.connectPort({ ...input, portKey: "late" }, operation),
        disconnectPort: (operation) => provider.disconnectPort(port, operation),
        revokePort: (operation) => provider.revokePort(port, operation),
        collectGarbage: (operation) => provider.collectGarbage({ switchId, known: [] }, operation),
      });
      mustEqual((await provider.listSwitches({}, test.operation())).items, [spec], "the switches after that");
      mustEqual(await portsOf(test, switchId), [["nic", input.host, 1]], "the ports after that");
      mustEqual(await provider.connectPort(input, test.operation()), binding, "the binding after that");
    },
  },
  {
    id: "network.crash.apply",
    title: "a spec that the implementation's end cuts off holds or the one before it does, and a repeat completes it",
    clause: whole,
    level: "core",
    run: (test) => cutShort(test, applyEverywhere),
  },
  {
    id: "network.crash.connect",
    title: "a connection that the implementation's end cuts off is there or not, and a repeat makes one of it",
    clause: whole,
    level: "core",
    run: (test) => cutShort(test, connect),
  },
  {
    id: "network.crash.disconnect",
    title: "a disconnection that the implementation's end cuts off is done or not, and a repeat completes it",
    clause: whole,
    level: "core",
    run: (test) => cutShort(test, disconnect),
  },
  {
    id: "network.crash.migration",
    title: "a move that the implementation's end cuts off in any of its steps can be gone on with, or taken back",
    clause: 'MigrationTicket: "It outlives both hosts, and the provider\'s process."',
    level: "extended",
    facet: "migration",
    async run(test) {
      const reopen = reopenOf(test);
      const spec = specOf(test);
      const { switchId } = spec;
      const hosts = [hostOf(test, 0), hostOf(test, 1)] as const;
      await applied(test, spec, 1);
      await test.provider.connectPort(portOf(test, spec, { portKey: "nic" }), test.operation());
      // The port goes to and fro; the steps of a move are cut off in turn.
      let provider = test.provider;
      let at = 0;
      for (const [index, cut] of (["prepare", "activate", "complete"] as const).entries()) {
        const targetHost = hosts[1 - at] ?? hosts[0];
        const generation = index + 2;
        const input = { switchId, portKey: "nic", targetHost, generation };
        let ticket = "";
        for (const step of ["prepare", "activate", "complete"] as const) {
          const call = async (operation: OperationContext): Promise<string> => {
            const facet = migrationOf(provider);
            if (step === "prepare") {
              ({ ticket } = await facet.prepareMigration(input, operation));
              return "prepared";
            }
            if (step === "activate") return (await facet.activateMigration({ ticket }, operation)).state;
            return (await facet.completeMigration({ ticket }, operation)).state;
          };
          if (step === cut) {
            provider = await cutOff(call(test.operation()), reopen);
          }
          await call(test.operation());
        }
        at = 1 - at;
        const after = { ...test, provider };
        const moves = () => migrationOf(provider).listMigrations({ switchId }, test.operation());
        await mustEqualSoon(moves, [], `the moves under way after '${cut}' was cut off, and repeated`);
        mustEqual(await portsOf(after, switchId), [["nic", targetHost, generation]], "where the port is");
      }
    },
  },
];

function migrationOf({ facets }: DistributedSwitch): PortMigrationFacet {
  must(facets?.migration !== undefined, "the facet 'migration' must be there after a restart too");
  return facets.migration;
}
