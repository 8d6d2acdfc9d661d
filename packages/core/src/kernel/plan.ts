import type { ContractAdapter } from "../extension-point/contract-adapter.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { makePlan } from "./make-plan.ts";

/** Why a plugin is not in the order. */
export type PlanProblemKind =
  | "duplicate-id"
  | "incompatible-core"
  | "not-a-plugin"
  | "provider-name"
  | "duplicate-provider"
  | "missing-requirement"
  | "ambiguous-requirement"
  | "incompatible-contract"
  | "rejected-requirement"
  | "cycle";

/** One reason why a plugin is rejected. */
export interface PlanProblem {
  readonly kind: PlanProblemKind;
  /** The reason, for people. */
  readonly message: string;
  /** With `missing-requirement` and `rejected-requirement`: what would have to be there, such as `vdc.storage 'fast'`. */
  readonly waitsFor?: string;
  /** With `cycle`: the plugins on it, the first one again at the end. */
  readonly path?: readonly string[];
}

/** A plugin that can be started, and what it depends on. */
export interface PlannedPlugin {
  readonly id: string;
  /** Plugins without which it cannot start. */
  readonly requires: readonly string[];
  /** Plugins that it only comes after: what it uses, all of a point, `before` and `after`. */
  readonly follows: readonly string[];
  /** What it provides. */
  readonly provides: readonly PlannedProvision[];
}

/** A provider, as the plan knows it before any code has run. */
export interface PlannedProvision {
  readonly point: string;
  readonly version: string;
  readonly name: string;
}

/** A plugin that cannot be started, and all the reasons. */
export interface RejectedPlugin {
  readonly id: string;
  readonly problems: readonly PlanProblem[];
}

/** What a kernel would do: in which order, and what not. */
export interface Plan {
  /** The plugins that can be started, each after everything that it depends on; of those that are free, in registration order. */
  readonly order: readonly PlannedPlugin[];
  /** The plugins that cannot be started, in registration order. */
  readonly rejected: readonly RejectedPlugin[];
}

/** What a plan is made from. */
export interface PlanInput {
  readonly plugins: readonly PluginRegistration[];
  /** Providers that no plugin owns. */
  readonly provided?: readonly PlannedProvision[];
  readonly adapters?: readonly ContractAdapter[];
}

/**
 * Resolves the order of plugins, from their manifests and configs alone: no code of any plugin runs.
 *
 * It reports everything at once: each rejected plugin with all that is missing, and each cycle with its path. The same input gives
 * the same plan.
 */
export function planPlugins(input: PlanInput): Plan {
  return makePlan(input);
}
