import { isDeepStrictEqual } from "node:util";
import { VdcError } from "@vdc-os/core";
import type { SwitchSpec } from "@vdc-os/core/network/v1";
import { MAX_VNI_BASE, VNIS_PER_SWITCH } from "../dataplane/segment.ts";
import type { DesiredState, Write } from "./desired-state.ts";
import type { SwitchRecord, TrialRecord } from "./records.ts";

/** What taking over a spec writes; nothing where it is there already. An older generation, one that stands for another spec, and a spent one are refused. */
export function specChange(state: DesiredState, spec: SwitchSpec, generation: number): readonly Write[] {
  const { switchId } = spec;
  const known = state.switches.get(switchId);
  if (known === undefined) return [put({ spec, generation, vniBase: freeVniBase(state) })];
  if (generation <= (known.spent ?? 0)) {
    throw new VdcError("ABORTED", `generation ${generation} of switch '${switchId}' was taken back: use a higher one`, {
      reason: "VDC_GENERATION_SPENT",
      retryable: false,
    });
  }
  if (generation < known.generation) {
    throw new VdcError(
      "ABORTED",
      `switch '${switchId}' has generation ${known.generation} already, and ${generation} is older`,
      { reason: "VDC_STALE_GENERATION", retryable: false },
    );
  }
  if (generation === known.generation) {
    if (isDeepStrictEqual(known.spec, spec)) return [];
    throw new VdcError(
      "ABORTED",
      `generation ${generation} of switch '${switchId}' is taken by another spec: use a higher one`,
      { reason: "VDC_GENERATION_TAKEN", retryable: false },
    );
  }
  // Whoever applies another spec has seen what was on trial: that is its confirmation.
  const trial = known.trial === undefined ? undefined : ({ ...known.trial, state: "confirmed" } as const);
  const ended = known.trial?.state === "waits" ? trial : known.trial;
  return [put({ ...known, spec, generation, ...(ended === undefined ? {} : { trial: ended }) })];
}

/** What beginning a trial writes, and the trial. */
export function trialChange(
  state: DesiredState,
  { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
  { token, deadline }: { readonly token: string; readonly deadline: number },
): { readonly writes: readonly Write[]; readonly result: TrialRecord } {
  const known = state.switches.get(spec.switchId);
  if (known === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${spec.switchId}'`);
  if (known.trial?.state === "waits") {
    throw new VdcError("FAILED_PRECONDITION", `generation ${known.trial.generation} is on trial: end that first`, {
      reason: "VDC_ON_TRIAL",
    });
  }
  const [write] = specChange(state, spec, generation);
  if (write === undefined) {
    throw new VdcError("FAILED_PRECONDITION", `generation ${generation} is in force already, and needs no trial`, {
      reason: "VDC_ON_TRIAL",
    });
  }
  const previous = { spec: known.spec, generation: known.generation };
  const trial: TrialRecord = { token, generation, previous, deadline, state: "waits" };
  return { writes: [put({ ...known, spec, generation, trial })], result: trial };
}

/** What ending a trial writes; nothing where it has ended so before. */
export function trialEnd(record: SwitchRecord, trial: TrialRecord, end: "confirmed" | "rolledBack"): readonly Write[] {
  if (trial.state === end) return [];
  if (trial.state !== "waits") {
    const [code, what] =
      trial.state === "rolledBack"
        ? (["ABORTED", "taken back"] as const)
        : (["FAILED_PRECONDITION", "confirmed"] as const);
    throw new VdcError(code, `generation ${trial.generation} was ${what} before`, {
      reason: "VDC_TRIAL_ENDED",
      retryable: false,
    });
  }
  const ended: TrialRecord = { ...trial, state: end };
  if (end === "confirmed") return [put({ ...record, trial: ended })];
  const { spec, generation } = trial.previous;
  return [put({ ...record, spec, generation, spent: trial.generation, trial: ended })];
}

function put(value: SwitchRecord): Write {
  return { kind: "switch", id: value.spec.switchId, value };
}

function freeVniBase(state: DesiredState): number {
  const taken = new Set([...state.switches.values()].map(({ vniBase }) => vniBase));
  for (let base = VNIS_PER_SWITCH; base <= MAX_VNI_BASE; base += VNIS_PER_SWITCH) if (!taken.has(base)) return base;
  throw new VdcError("RESOURCE_EXHAUSTED", "all tunnel identifiers are taken: remove a switch", { retryable: false });
}
