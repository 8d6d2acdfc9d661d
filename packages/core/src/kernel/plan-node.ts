import type { PlannedProvision, PlanProblem } from "./plan.ts";
import type { PluginRegistration } from "./plugin-registration.ts";

/** A plugin while it is being planned. */
export interface PlanNode {
  readonly registration: PluginRegistration;
  provisions: readonly PlannedProvision[];
  // Most plugins have none of these: they share one empty list until they do.
  problems: readonly PlanProblem[];
  requires: readonly PlanNode[];
  follows: readonly PlanNode[];
  rejected: boolean;
}

/** One empty list for all that have none. */
export const none: readonly never[] = Object.freeze([]);

/** Notes a reason why a plugin cannot be started. */
export function reject(
  node: PlanNode,
  kind: PlanProblem["kind"],
  message: string,
  more: Partial<PlanProblem> = {},
): void {
  node.rejected = true;
  node.problems = [...node.problems, { kind, message, ...more }];
}

/** Says that a plugin comes after another. */
export function addEdge(node: PlanNode, kind: "requires" | "follows", to: PlanNode): void {
  if (node[kind].length === 0) node[kind] = [to];
  else (node[kind] as PlanNode[]).push(to);
}
