import type { Clock } from "../../context/clock.ts";
import { VdcError } from "../../error/vdc-error.ts";
import type { ConfigArchiveFacet } from "./facets/config-archive.ts";
import { beginTrial, endTrial, type SpecRecord, takeOverSpec } from "./spec-record.ts";
import type { SpecProblem, SwitchSpec } from "./switch-spec.ts";

/** How a provider's switches are kept, for {@link ConfigArchiveControl}. */
export interface SpecRecords<R extends SpecRecord> {
  /** The switches there are. */
  all(): Iterable<R>;
  find(switchId: string): R | undefined;
  /** The record of a switch that is not there yet. */
  create(spec: SwitchSpec, generation: number): R;
  /** Decides on a change of one switch and makes it durable; `undefined` changes nothing. `decide` sees what every earlier change left. */
  change<T>(decide: () => { readonly record: R | undefined; readonly result: T }): Promise<T>;
  /** What is wrong with a spec. */
  validate(spec: SwitchSpec): readonly SpecProblem[];
}

/** How many problems a failure's text names, and how many its details list. */
const problemsInText = 5;
const problemsInDetails = 100;

/** The failure of a spec, or of a port's setting, that has problems. Its text names the first, its details list up to a hundred. */
export function refusedSpec(what: string, problems: readonly SpecProblem[]): VdcError {
  const first = problems.slice(0, problemsInText).map(({ path, message }) => `${path}: ${message}`);
  const rest = problems.length > first.length ? `; and ${problems.length - first.length} more` : "";
  const listed = problems.slice(0, problemsInDetails).map(({ path, message }) => ({ path, message }));
  return new VdcError("INVALID_ARGUMENT", `${what} is refused: ${first.join("; ")}${rest}`, {
    reason: "VDC_SPEC_REFUSED",
    details: { problems: listed },
  });
}

/**
 * The facet `configArchive`, and applying specs, for any provider that keeps records. A trial is part of its record, so that it is taken back also after a
 * restart: call `onChange` once the records are read, and whenever they have changed.
 */
export class ConfigArchiveControl<R extends SpecRecord> {
  readonly facet: ConfigArchiveFacet;
  readonly #records: SpecRecords<R>;
  readonly #clock: Clock;
  readonly #timers = new Map<string, () => void>();
  #closed = false;

  constructor(records: SpecRecords<R>, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
    this.facet = {
      exportConfig: async ({ switchId }) => {
        const { spec, generation } = this.#find(switchId);
        return { format: "vdc.network.config/1", generation, spec, opaque: {} };
      },
      importConfig: ({ archive, identity, generation }) => {
        const spec =
          identity.kind === "newIdentity"
            ? { ...archive.spec, switchId: identity.switchId, name: identity.name }
            : archive.spec;
        this.#mustBeGood(spec);
        return records.change(() => {
          const known = records.find(spec.switchId);
          if (identity.kind === "overwrite") {
            return { record: takeOverSpec(this.#find(spec.switchId), spec, generation), result: spec };
          }
          if (known !== undefined) {
            throw new VdcError("ALREADY_EXISTS", `there is a switch '${spec.switchId}' already`);
          }
          return { record: records.create(spec, generation), result: spec };
        });
      },
      applyWithRollback: ({ spec, generation, confirmWithinMs }) => {
        this.#mustBeGood(spec);
        const token = crypto.randomUUID();
        const deadline = clock.now() + confirmWithinMs;
        return records.change(() => {
          const known = this.#find(spec.switchId);
          const record = beginTrial(known, { spec, generation }, { token, deadline });
          return { record, result: { rollbackToken: token, generation, previousGeneration: known.generation } };
        });
      },
      confirmApply: ({ rollbackToken }) => this.#end(rollbackToken, "confirmed"),
      rollbackApply: ({ rollbackToken }) => this.#end(rollbackToken, "rolledBack"),
    };
  }

  /** What `applySwitch` does. */
  async apply(spec: SwitchSpec, generation: number): Promise<{ readonly generation: number }> {
    this.#mustBeGood(spec);
    return this.#records.change(() => {
      const known = this.#records.find(spec.switchId);
      if (known === undefined) return { record: this.#records.create(spec, generation), result: { generation } };
      const record = takeOverSpec(known, spec, generation);
      return { record: record === known ? undefined : record, result: { generation } };
    });
  }

  /** Trials that wait have a timer, and no others. */
  onChange(): void {
    const waiting = new Map(this.#waiting().map(({ token, deadline }) => [token, deadline]));
    for (const [token, cancel] of this.#timers) {
      if (waiting.has(token)) continue;
      cancel();
      this.#timers.delete(token);
    }
    for (const [token, deadline] of waiting) {
      if (!this.#timers.has(token)) this.#schedule(token, deadline - this.#clock.now());
    }
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #schedule(token: string, delayMs: number): void {
    const run = async (): Promise<void> => {
      try {
        await this.#end(token, "rolledBack");
      } catch {
        // What can't be written now is tried again: what is on trial must not stay.
        const waits = this.#waiting().some((trial) => trial.token === token);
        if (waits && !this.#closed) this.#schedule(token, 500);
      }
    };
    this.#timers.set(
      token,
      this.#clock.schedule(delayMs, () => void run()),
    );
  }

  #waiting(): readonly { readonly token: string; readonly deadline: number }[] {
    return [...this.#records.all()].flatMap(({ trial }) => (trial?.state === "waits" ? [trial] : []));
  }

  async #end(token: string, end: "confirmed" | "rolledBack"): Promise<void> {
    await this.#records.change(() => {
      for (const known of this.#records.all()) {
        if (known.trial?.token !== token) continue;
        const record = endTrial(known, end);
        return { record: record === known ? undefined : record, result: undefined };
      }
      throw new VdcError("NOT_FOUND", `there is no trial '${token}'`);
    });
  }

  #find(switchId: string): R {
    const record = this.#records.find(switchId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return record;
  }

  #mustBeGood(spec: SwitchSpec): void {
    const problems = this.#records.validate(spec);
    if (problems.length > 0) throw refusedSpec(`switch '${spec.switchId}'`, problems);
  }
}
