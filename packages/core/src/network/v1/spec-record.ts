import { isDeepStrictEqual } from "node:util";
import { VdcError } from "../../error/vdc-error.ts";
import type { SwitchSpec } from "./switch-spec.ts";

/** A spec that was applied on trial: the last one of its switch, also when it has ended. Plain data. */
export interface SpecTrial {
  readonly token: string;
  readonly generation: number;
  readonly previous: { readonly spec: SwitchSpec; readonly generation: number };
  /** When it is taken back, in milliseconds since 1970. */
  readonly deadline: number;
  readonly state: "waits" | "confirmed" | "rolledBack";
}

/** What a provider keeps of a switch, durably, for the rules of generations to hold. */
export interface SpecRecord {
  readonly spec: SwitchSpec;
  readonly generation: number;
  /** The highest generation that was taken back. */
  readonly spent?: number;
  readonly trial?: SpecTrial;
}

/**
 * The record with a newer spec taken over; the same record where it is there already. An older generation, one that stands for another spec, and one
 * that was taken back fail with `ABORTED`. A spec on trial is confirmed by whoever applies the next one.
 */
export function takeOverSpec<R extends SpecRecord>(known: R, spec: SwitchSpec, generation: number): R {
  const { switchId } = known.spec;
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
    if (isDeepStrictEqual(known.spec, spec)) return known;
    throw new VdcError(
      "ABORTED",
      `generation ${generation} of switch '${switchId}' is taken by another spec: use a higher one`,
      { reason: "VDC_GENERATION_TAKEN", retryable: false },
    );
  }
  const { trial } = known;
  if (trial?.state !== "waits") return { ...known, spec, generation };
  return { ...known, spec, generation, trial: { ...trial, state: "confirmed" } };
}

/** The record with a spec on trial. Fails with `FAILED_PRECONDITION` while another one is, or where the spec is in force already. */
export function beginTrial<R extends SpecRecord>(
  known: R,
  { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
  { token, deadline }: { readonly token: string; readonly deadline: number },
): R {
  if (known.trial?.state === "waits") {
    throw new VdcError("FAILED_PRECONDITION", `generation ${known.trial.generation} is on trial: end that first`, {
      reason: "VDC_ON_TRIAL",
    });
  }
  const taken = takeOverSpec(known, spec, generation);
  if (taken === known) {
    throw new VdcError("FAILED_PRECONDITION", `generation ${generation} is in force already, and needs no trial`, {
      reason: "VDC_ON_TRIAL",
    });
  }
  const previous = { spec: known.spec, generation: known.generation };
  return { ...taken, trial: { token, generation, previous, deadline, state: "waits" } };
}

/** The record with its trial ended; the same record where it has ended so before. One that has ended the other way fails. */
export function endTrial<R extends SpecRecord>(record: R, end: "confirmed" | "rolledBack"): R {
  const { trial } = record;
  if (trial === undefined || trial.state === end) return record;
  if (trial.state !== "waits") {
    const wasTaken = trial.state === "rolledBack";
    throw new VdcError(
      wasTaken ? "ABORTED" : "FAILED_PRECONDITION",
      `generation ${trial.generation} was ${wasTaken ? "taken back" : "confirmed"} before`,
      { reason: "VDC_TRIAL_ENDED", retryable: false },
    );
  }
  const ended: SpecTrial = { ...trial, state: end };
  if (end === "confirmed") return { ...record, trial: ended };
  return { ...record, ...trial.previous, spent: trial.generation, trial: ended };
}
