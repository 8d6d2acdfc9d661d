import { findCycles } from "./find-cycles.ts";
import { none, type PlanNode, reject } from "./plan-node.ts";
import type { Plan, PlannedPlugin, RejectedPlugin } from "./plan.ts";

/** Orders what is not rejected; cycles are rejected on the way, and so is what requires something that is. */
export function sortPlan(nodes: readonly PlanNode[]): Plan {
  let order = topological(nodes);
  for (let left = leftover(nodes, order); left.size > 0; left = leftover(nodes, order)) {
    for (const cycle of findCycles([...left], (node) => edges(node).filter((other) => left.has(other)))) {
      rejectCycle(cycle);
    }
    rejectDependents(nodes);
    order = topological(nodes);
  }
  const rejected: RejectedPlugin[] = [];
  if (order.length < nodes.length)
    for (const node of nodes) if (node.rejected) rejected.push({ id: node.registration.id, problems: node.problems });
  return { order: order.map(toPlanned), rejected };
}

/** What is neither rejected nor in the order: it is on a cycle, or behind one. */
function leftover(nodes: readonly PlanNode[], order: readonly PlanNode[]): ReadonlySet<PlanNode> {
  if (order.length === nodes.length) return new Set();
  const left = new Set(nodes.filter(({ rejected }) => !rejected));
  for (const node of order) left.delete(node);
  return left;
}

function rejectCycle(cycle: readonly PlanNode[]): void {
  const ids = cycle.map(({ registration }) => registration.id);
  for (const [index, node] of cycle.entries()) {
    // Each member sees the path from where it stands.
    const path = [...ids.slice(index), ...ids.slice(0, index), node.registration.id];
    reject(node, "cycle", `plugin '${node.registration.id}' is on a cycle: '${path.join("' needs '")}'`, { path });
  }
}

function edges(node: PlanNode): readonly PlanNode[] {
  if (node.follows.length === 0) return node.requires;
  return node.requires.length === 0 ? node.follows : [...node.requires, ...node.follows];
}

/** Kahn's algorithm: whoever has no open edge, in registration order. Nodes on or behind a cycle are left out. */
function topological(nodes: readonly PlanNode[]): readonly PlanNode[] {
  const order: PlanNode[] = [];
  const open = new Map<PlanNode, number>();
  const dependents = new Map<PlanNode, PlanNode[]>();
  for (const node of nodes) {
    if (node.rejected) continue;
    let count = 0;
    if (node.requires.length + node.follows.length > 0)
      for (const other of edges(node)) {
        if (other.rejected) continue;
        count++;
        const list = dependents.get(other);
        if (list === undefined) dependents.set(other, [node]);
        else list.push(node);
      }
    if (count === 0) order.push(node);
    else open.set(node, count);
  }
  if (open.size === 0) return order;
  for (let index = 0; index < order.length; index++) {
    for (const dependent of dependents.get(order[index] as PlanNode) ?? none) {
      const count = (open.get(dependent) as number) - 1;
      open.set(dependent, count);
      if (count === 0) order.push(dependent);
    }
  }
  return order;
}

function toPlanned(node: PlanNode): PlannedPlugin {
  return {
    id: node.registration.id,
    requires: ids(node.requires),
    follows: ids(node.follows),
    provides: node.provisions,
  };
}

function ids(nodes: readonly PlanNode[]): readonly string[] {
  if (nodes.length === 0) return none;
  const unique = new Set<string>();
  for (const node of nodes) if (!node.rejected) unique.add(node.registration.id);
  return [...unique];
}

/** What requires a rejected plugin is rejected as well, and says so beside its own problems. */
export function rejectDependents(nodes: readonly PlanNode[]): void {
  if (!nodes.some(({ rejected }) => rejected)) return;
  const dependents = new Map<PlanNode, PlanNode[]>();
  for (const node of nodes) {
    for (const other of node.requires) dependents.set(other, [...(dependents.get(other) ?? none), node]);
  }
  const queue = nodes.filter(({ rejected }) => rejected);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    for (const dependent of dependents.get(node) ?? none) {
      const { id } = node.registration;
      if (dependent.problems.some(({ kind, waitsFor }) => kind === "rejected-requirement" && waitsFor === id)) continue;
      if (!dependent.rejected) queue.push(dependent);
      const message = `plugin '${dependent.registration.id}' requires plugin '${id}', which cannot start`;
      reject(dependent, "rejected-requirement", message, { waitsFor: id });
    }
  }
}
