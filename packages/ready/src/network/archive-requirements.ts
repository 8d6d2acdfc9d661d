import type { SwitchSpec } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { defaultGroups, type NetworkRequirement, type NetworkTest, openSetting, specOf } from "./network-instance.ts";
import { applied, untilStatus } from "./stations.ts";

async function specNow(test: NetworkTest, switchId: string): Promise<SwitchSpec | undefined> {
  const { items } = await test.provider.listSwitches({}, test.operation());
  return items.find((spec) => spec.switchId === switchId);
}

function untilGeneration(test: NetworkTest, switchId: string, generation: number): Promise<unknown> {
  return untilStatus(
    test,
    switchId,
    ({ desiredGeneration, members }) =>
      desiredGeneration === generation &&
      members.every(({ state, realizedGeneration }) => state === "up" && realizedGeneration === generation),
  );
}

interface Trial {
  readonly spec: SwitchSpec;
  readonly generation: number;
  readonly confirmWithinMs: number;
}

/** A trial that was confirmed in its time: another one, with more of it, where the machine was too slow for that. */
async function confirmed(test: NetworkTest, trial: Trial): Promise<Trial & { readonly rollbackToken: string }> {
  const facet = test.facet("configArchive");
  const begun = performance.now();
  const { rollbackToken } = await facet.applyWithRollback(trial, test.operation());
  try {
    await facet.confirmApply({ rollbackToken }, test.operation());
    return { ...trial, rollbackToken };
  } catch (error) {
    if (performance.now() - begun < trial.confirmWithinMs) throw error;
    return confirmed(test, {
      ...trial,
      generation: trial.generation + 1,
      confirmWithinMs: trial.confirmWithinMs * 4,
    });
  }
}

/** What keeping and trying configurations must do. */
export const archiveRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.archive.identities",
    title: "an archive makes the switch again: as itself, as another one, or over what is there",
    clause: "ConfigArchiveFacet.importConfig: identities",
    level: "extended",
    facet: "configArchive",
    async run(test) {
      const facet = test.facet("configArchive");
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 2);
      const archive = await facet.exportConfig({ switchId }, test.operation());
      mustEqual([archive.spec, archive.generation], [spec, 2], "what the archive holds");
      const same = { kind: "sameIdentity" } as const;
      const there = facet.importConfig({ archive, identity: same, generation: 3 }, test.operation());
      await mustReject(there, "ALREADY_EXISTS", "importing a switch that is there");
      const identity = { kind: "newIdentity", switchId: "copy", name: "copy" } as const;
      const copy = await facet.importConfig({ archive, identity, generation: 1 }, test.operation());
      mustEqual(copy, { ...spec, switchId: "copy", name: "copy" }, "the new switch");
      mustEqual(await specNow(test, "copy"), copy, "the new switch in the list");
      await applied(test, { ...spec, mtu: 1300 }, 3);
      await facet.importConfig({ archive, identity: { kind: "overwrite" }, generation: 4 }, test.operation());
      mustEqual(await specNow(test, switchId), spec, "the switch after its archive went over it");
      await test.provider.removeSwitch({ switchId }, test.operation());
      await facet.importConfig({ archive, identity: same, generation: 5 }, test.operation());
      mustEqual(await specNow(test, switchId), spec, "the switch that was made again");
    },
  },
  {
    id: "network.archive.rollback",
    title: "what is not confirmed in time is taken back, and its generation is spent",
    clause:
      'ConfigArchiveFacet.applyWithRollback: "After a rollback the generation before is desired and in force again"',
    level: "extended",
    facet: "configArchive",
    async run(test) {
      const facet = test.facet("configArchive");
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const other = specOf(test, { ...defaultGroups, red: openSetting });
      const begun = performance.now();
      const trial = await facet.applyWithRollback(
        { spec: other, generation: 2, confirmWithinMs: 300 },
        test.operation(),
      );
      mustEqual([trial.generation, trial.previousGeneration], [2, 1], "the generations of the trial");
      const found = await specNow(test, switchId);
      // Where the machine was slower than that, it may have been taken back already.
      if (performance.now() - begun < 300) mustEqual(found, other, "the spec on trial");
      await untilGeneration(test, switchId, 1);
      mustEqual(await specNow(test, switchId), spec, "the spec after the trial");
      const { rollbackToken } = trial;
      await mustReject(
        facet.confirmApply({ rollbackToken }, test.operation()),
        "ABORTED",
        "confirming what was taken back",
      );
      const again = test.provider.applySwitch({ spec: other, generation: 2 }, test.operation());
      await mustReject(again, "ABORTED", "applying a generation that was taken back");
      await applied(test, other, 3);
    },
  },
  {
    id: "network.archive.confirm",
    title: "what is confirmed stays, and what is taken back at once goes at once",
    clause:
      'ConfigArchiveFacet.confirmApply: "Keeps what is on trial."; rollbackApply: "Takes back what is on trial, at once."',
    level: "extended",
    facet: "configArchive",
    async run(test) {
      const facet = test.facet("configArchive");
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const kept = { ...spec, mtu: 1300 };
      const first = await confirmed(test, { spec: kept, generation: 2, confirmWithinMs: 400 });
      await facet.confirmApply({ rollbackToken: first.rollbackToken }, test.operation());
      await new Promise((resolve) => setTimeout(resolve, first.confirmWithinMs + 100));
      mustEqual(await specNow(test, switchId), kept, "the spec after its trial was confirmed");
      const other = { ...spec, mtu: 1200 };
      const second = await facet.applyWithRollback(
        { spec: other, generation: first.generation + 1, confirmWithinMs: 600_000 },
        test.operation(),
      );
      must(second.rollbackToken !== first.rollbackToken, "each trial must have a token of its own");
      mustEqual(await specNow(test, switchId), other, "the spec on trial");
      await facet.rollbackApply({ rollbackToken: second.rollbackToken }, test.operation());
      mustEqual(await specNow(test, switchId), kept, "the spec after its trial was taken back");
      await untilGeneration(test, switchId, first.generation);
      await mustReject(
        facet.confirmApply({ rollbackToken: "none" }, test.operation()),
        "NOT_FOUND",
        "confirming an unknown trial",
      );
    },
  },
];
