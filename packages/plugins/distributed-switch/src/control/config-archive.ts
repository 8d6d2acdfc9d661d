import { randomUUID } from "node:crypto";
import { type Clock, VdcError } from "@vdc-os/core";
import type { ConfigArchiveFacet, SpecProblem, SwitchSpec } from "@vdc-os/core/network/v1";
import type { DesiredState } from "./desired-state.ts";
import { findSwitch } from "./find-switch.ts";
import type { SwitchRecord, TrialRecord } from "./records.ts";
import { refusedSpec } from "./refused-spec.ts";
import { specChange, trialChange, trialEnd } from "./switch-changes.ts";

/** What keeping configurations needs of the switch. */
export interface ConfigArchiveOptions {
  readonly state: DesiredState;
  readonly clock: Clock;
  readonly validate: (spec: SwitchSpec) => readonly SpecProblem[];
}

/** Exports and imports switches, and takes back specs on trial in time. A trial is part of the desired state, so it ends also after a restart. */
export class ConfigArchiveControl {
  readonly facet: ConfigArchiveFacet;
  readonly #options: ConfigArchiveOptions;
  readonly #timers = new Map<string, () => void>();
  #closed = false;

  constructor(options: ConfigArchiveOptions) {
    this.#options = options;
    const { state } = options;
    this.facet = {
      async exportConfig({ switchId }) {
        const { spec, generation } = findSwitch(state, switchId);
        return { format: "vdc.network.config/1", generation, spec, opaque: {} };
      },
      importConfig: async ({ archive, identity, generation }) => {
        const spec =
          identity.kind === "newIdentity"
            ? { ...archive.spec, switchId: identity.switchId, name: identity.name }
            : archive.spec;
        this.#mustBeGood(spec);
        return state.change(() => {
          if (identity.kind === "overwrite") findSwitch(state, spec.switchId);
          else if (state.switches.has(spec.switchId)) {
            throw new VdcError("ALREADY_EXISTS", `there is a switch '${spec.switchId}' already`);
          }
          return { writes: specChange(state, spec, generation), result: spec };
        });
      },
      applyWithRollback: async ({ spec, generation, confirmWithinMs }) => {
        this.#mustBeGood(spec);
        const token = randomUUID();
        const deadline = options.clock.now() + confirmWithinMs;
        const trial = await state.change(() => trialChange(state, { spec, generation }, { token, deadline }));
        return { rollbackToken: token, generation, previousGeneration: trial.previous.generation };
      },
      confirmApply: ({ rollbackToken }) => this.#end(rollbackToken, "confirmed"),
      rollbackApply: ({ rollbackToken }) => this.#end(rollbackToken, "rolledBack"),
    };
  }

  /** The desired state has changed: trials that wait have a timer, and no others. */
  onChange(): void {
    const { clock } = this.#options;
    const waiting = new Map(this.#waiting().map(({ trial }) => [trial.token, trial]));
    for (const [token, cancel] of this.#timers) {
      if (waiting.has(token)) continue;
      cancel();
      this.#timers.delete(token);
    }
    for (const [token, { deadline }] of waiting) {
      if (this.#timers.has(token)) continue;
      const run = (): void => {
        // A store that can't be written now is asked again: what is on trial must not stay.
        this.#end(token, "rolledBack").catch(() => {
          const waits = this.#waiting().some(({ trial }) => trial.token === token);
          if (waits && !this.#closed) this.#timers.set(token, clock.schedule(500, run));
        });
      };
      this.#timers.set(token, clock.schedule(deadline - clock.now(), run));
    }
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #waiting(): readonly { readonly record: SwitchRecord; readonly trial: TrialRecord }[] {
    return [...this.#options.state.switches.values()].flatMap((record) =>
      record.trial?.state === "waits" ? [{ record, trial: record.trial }] : [],
    );
  }

  async #end(token: string, end: "confirmed" | "rolledBack"): Promise<void> {
    const { state } = this.#options;
    await state.change(() => {
      for (const record of state.switches.values()) {
        if (record.trial?.token === token) return { writes: trialEnd(record, record.trial, end), result: undefined };
      }
      throw new VdcError("NOT_FOUND", `there is no trial '${token}'`);
    });
  }

  #mustBeGood(spec: SwitchSpec): void {
    const problems = this.#options.validate(spec);
    if (problems.length > 0) throw refusedSpec(`switch '${spec.switchId}'`, problems);
  }
}
