import { VdcError } from "../error/vdc-error.ts";
import type { PluginStateChange } from "../event/kernel-events.ts";
import type { ContractAdapter } from "../extension-point/contract-adapter.ts";
import { makePlan } from "./make-plan.ts";
import type { Plan, PlannedProvision, PlanProblem } from "./plan.ts";
import { PluginInstance, type TransitionListener } from "./plugin-instance.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import type { Provider } from "./provider.ts";

/** Problems that may go away by themselves: their plugin waits. With the others it has failed. */
const passing: ReadonlySet<PlanProblem["kind"]> = new Set([
  "missing-requirement",
  "ambiguous-requirement",
  "incompatible-contract",
  "rejected-requirement",
  "cycle",
]);

/** Options of {@link PluginTable}. */
export interface PluginTableOptions {
  readonly adapters: readonly ContractAdapter[];
  readonly onTransition: TransitionListener;
}

/** The plugins of a kernel, what the program itself provides, and the plan that follows from both. */
export class PluginTable {
  /** Every plugin, in registration order. */
  readonly all: PluginInstance[] = [];
  /** What no plugin owns. */
  readonly provided: Set<Provider> = new Set();
  /** The plugins of the plan that was applied last, in its order. */
  order: readonly PluginInstance[] = [];
  readonly #byId = new Map<string, PluginInstance>();
  readonly #options: PluginTableOptions;

  constructor(options: PluginTableOptions) {
    this.#options = options;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  readonly find = (id: string): PluginInstance | undefined => this.#byId.get(id);

  /** Throws `NOT_FOUND`. */
  get(id: string): PluginInstance {
    const instance = this.#byId.get(id);
    if (instance === undefined) throw new VdcError("NOT_FOUND", `there is no plugin '${id}'`);
    return instance;
  }

  /** A second plugin of one id stays out of the index; the plan rejects it. */
  add(registration: PluginRegistration): void {
    const instance = new PluginInstance(registration, this.#options.onTransition);
    this.all.push(instance);
    if (!this.#byId.has(registration.id)) this.#byId.set(registration.id, instance);
  }

  /** The plan of what is registered now; with `next`, of what would be if `instance` were registered so. */
  plan(instance?: PluginInstance, next?: PluginRegistration): Plan {
    const provided: PlannedProvision[] = [];
    for (const { point, name } of this.provided) provided.push({ point: point.id, version: point.version, name });
    const plugins = this.all.map((other) => (next !== undefined && other === instance ? next : other.registration));
    const distinct = this.#byId.size === this.all.length;
    return makePlan({ plugins, provided, adapters: this.#options.adapters }, { distinct });
  }

  /** Takes over the present plan: the edges of what is in its order; the state of what is not. */
  applyPlan(): void {
    const plan = this.plan();
    this.order = plan.order.map((planned) => {
      const instance = this.#byId.get(planned.id) as PluginInstance;
      instance.planned = planned;
      return instance;
    });
    if (plan.rejected.length === 0) return;
    const rejected = Map.groupBy(plan.rejected, ({ id }) => id);
    for (const instance of this.all) {
      const isFirst = this.#byId.get(instance.id) === instance;
      // Of several with one id the first is in the index; the others are rejected for it.
      const own = rejected.get(instance.id)?.find(({ problems }) => isFirst !== problems.some(isDuplicate));
      if (own !== undefined && !instance.running) applyProblems(instance, own.problems);
    }
  }

  /** Why the kernel cannot start at all: what it cannot do without was rejected. */
  requiredRejection(): VdcError | undefined {
    const rejected = this.all.filter(
      ({ state, registration }) => (state === "failed" || state === "blocked") && registration.policy === "required",
    );
    if (rejected.length === 0) return undefined;
    return new VdcError("FAILED_PRECONDITION", rejected.map(({ reason }) => reason).join("\n"), {
      reason: "VDC_PLAN_REJECTED",
      blockers: rejected.map(({ id }) => ({ kind: "plugin", name: id })),
    });
  }

  /** Refuses a change that would make the plugin, or one that depends on it, impossible. */
  assertPlanAccepts(instance: PluginInstance, next: PluginRegistration): void {
    const present = new Set(this.plan().rejected.map(({ id }) => id));
    const plan = this.plan(instance, next);
    const worse = plan.rejected.filter(({ id }) => id === instance.id || !present.has(id));
    if (worse.length === 0) return;
    throw new VdcError("FAILED_PRECONDITION", worse.flatMap(({ problems }) => problems.map(messageOf)).join("\n"), {
      reason: "VDC_PLAN_REJECTED",
      plugin: instance.id,
      blockers: worse.map(({ id }) => ({ kind: "plugin", name: id })),
    });
  }

  /** What runs, each after what it depends on; last, what the plan no longer knows. */
  running(): readonly PluginInstance[] {
    const running = this.order.filter(({ scope }) => scope !== undefined);
    const known = new Set(running);
    return [...running, ...this.all.filter((instance) => instance.scope !== undefined && !known.has(instance))];
  }

  /** The state of each plugin, as a listener that comes late is told of it. */
  currentStates(): readonly PluginStateChange[] {
    return this.all.map(({ id, state, reason, waitsFor }) => ({
      plugin: id,
      from: undefined,
      to: state,
      reason,
      waitsFor,
    }));
  }

  /** Why a provider is not there, for people. */
  explain(point: string, name: string | undefined): string {
    const what = name === undefined ? `a provider of '${point}'` : `provider '${name}' of '${point}'`;
    const plan = this.plan();
    const owners = this.all.filter(({ id, registration }) => {
      const planned = plan.order.find((other) => other.id === id);
      if (planned === undefined)
        return registration.plugin.manifest?.provides.some((other) => other.point.id === point);
      return planned.provides.some((other) => other.point === point && (name === undefined || other.name === name));
    });
    if (owners.length === 0) return `${what} is not there: no plugin provides it`;
    const states = owners.map(({ id, state, reason }) => `plugin '${id}' is ${state} (${reason})`);
    return `${what} is not there: ${states.join("; ")}`;
  }
}

function isDuplicate({ kind }: PlanProblem): boolean {
  return kind === "duplicate-id";
}

function messageOf({ message }: PlanProblem): string {
  return message;
}

function applyProblems(instance: PluginInstance, problems: readonly PlanProblem[]): void {
  const reason = problems.map(messageOf).join("\n");
  if (problems.every(({ kind }) => passing.has(kind))) {
    if (instance.state === "blocked" && instance.reason === reason) return;
    instance.moveTo(
      "blocked",
      reason,
      problems.map(({ waitsFor, path }) => waitsFor ?? path?.[1] ?? "").filter(Boolean),
    );
  } else {
    instance.fail(new VdcError("FAILED_PRECONDITION", reason, { reason: "VDC_PLAN_REJECTED", plugin: instance.id }));
  }
}
