import type { z } from "zod";
import { coreVersion } from "../core-version.ts";
import { type ContractAdapter, findAdapter } from "../extension-point/contract-adapter.ts";
import { extensionPointFormat, extensionPointFormatOf } from "../extension-point/extension-point.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import { pluginFormat, pluginFormatOf } from "../plugin/define-plugin.ts";
import type { ProviderName, Requirement } from "../plugin/manifest.ts";
import { findCycles } from "./find-cycles.ts";
import type { Plan, PlanInput, PlannedPlugin, PlannedProvision, PlanProblem, RejectedPlugin } from "./plan.ts";
import type { PluginRegistration } from "./plugin-registration.ts";

/** A plugin while it is being planned. */
interface Node {
  readonly registration: PluginRegistration;
  provisions: readonly PlannedProvision[];
  // Most plugins have none of these: they share one empty list until they do.
  problems: readonly PlanProblem[];
  requires: readonly Node[];
  follows: readonly Node[];
  rejected: boolean;
}

interface Offer extends PlannedProvision {
  /** `undefined` for a provider that no plugin owns. */
  readonly owner: Node | undefined;
}

const none: readonly never[] = Object.freeze([]);

/** See `planPlugins`. */
export function makePlan(input: PlanInput): Plan {
  const adapters = input.adapters ?? none;
  const nodes: Node[] = [];
  const byId = new Map<string, Node>();
  // Ten thousand plugins say the same few core versions: each is looked at once.
  const cores = new Map<string, boolean>();
  for (const registration of input.plugins) {
    const node = makeNode(registration, cores);
    nodes.push(node);
    if (byId.has(registration.id)) {
      reject(
        node,
        "duplicate-id",
        `a plugin with the id '${registration.id}' is registered already: give one another id`,
      );
    } else {
      byId.set(registration.id, node);
    }
  }
  const offers = collectOffers(nodes, input.provided ?? none);
  for (const node of nodes) resolveRequirements(node, offers, adapters);
  resolveNeighbours(nodes, byId);
  rejectDependents(nodes);
  return sort(nodes);
}

function makeNode(registration: PluginRegistration, cores: Map<string, boolean>): Node {
  const node: Node = {
    registration,
    provisions: none,
    problems: none,
    requires: none,
    follows: none,
    rejected: false,
  };
  const { plugin, id } = registration;
  const format = pluginFormatOf(plugin);
  if (format !== pluginFormat) {
    reject(
      node,
      format === undefined ? "not-a-plugin" : "incompatible-core",
      format === undefined
        ? `'${id}' is not a plugin: make it with definePlugin`
        : `plugin '${id}' was defined by another copy of @vdc-os/core, in plugin format ${format}; this one, ${coreVersion}, reads format ${pluginFormat}: install one version for all`,
    );
    return node;
  }
  const { manifest } = plugin;
  let compatible = cores.get(manifest.core);
  if (compatible === undefined) {
    compatible = isContractCompatible(manifest.core, coreVersion);
    cores.set(manifest.core, compatible);
  }
  if (!compatible) {
    const message = `plugin '${id}' needs @vdc-os/core ${manifest.core}, and this is ${coreVersion}`;
    reject(node, "incompatible-core", message);
  }
  if (manifest.provides.length > 0) node.provisions = plannedProvisions(node);
  return node;
}

function reject(node: Node, kind: PlanProblem["kind"], message: string, more: Partial<PlanProblem> = {}): void {
  node.rejected = true;
  node.problems = [...node.problems, { kind, message, ...more }];
}

function addEdge(node: Node, kind: "requires" | "follows", to: Node): void {
  if (node[kind].length === 0) node[kind] = [to];
  else (node[kind] as Node[]).push(to);
}

/** What a plugin will provide, under which names. */
function plannedProvisions(node: Node): readonly PlannedProvision[] {
  const { registration } = node;
  const planned: PlannedProvision[] = [];
  for (const { point, name } of registration.plugin.manifest.provides) {
    if (extensionPointFormatOf(point) !== extensionPointFormat) {
      const found = extensionPointFormatOf(point) ?? "none";
      const message = `plugin '${registration.id}' provides '${point.id}' with a token of another copy of @vdc-os/core (token format ${found}; this one, ${coreVersion}, reads format ${extensionPointFormat})`;
      reject(node, "incompatible-core", message);
      continue;
    }
    const resolved = name === undefined ? registration.id : providerName(registration, name);
    if (resolved === undefined) {
      const key = (name as { readonly fromConfig: string }).fromConfig;
      reject(
        node,
        "provider-name",
        `plugin '${registration.id}' takes the name of its '${point.id}' from '${key}' of its config, which is not a string`,
      );
    } else {
      planned.push({ point: point.id, version: point.version, name: resolved });
    }
  }
  return planned;
}

/** A provider's name, as far as config can tell it: what was given, or else what the schema makes of it (its defaults). */
export function providerName(registration: PluginRegistration, name: ProviderName): string | undefined {
  if (typeof name === "string") return name;
  const given = (registration.config as Record<string, unknown> | undefined)?.[name.fromConfig];
  if (typeof given === "string") return given;
  const schema = registration.plugin.manifest.config;
  try {
    const parsed = schema?.safeParse(registration.config ?? {});
    // Where another key is wrong the whole has no value; the config check will say so, and the name is still known.
    const fields = (schema as { readonly shape?: Readonly<Record<string, z.ZodType>> } | undefined)?.shape;
    const value = parsed?.success
      ? (parsed.data as Record<string, unknown>)[name.fromConfig]
      : fields?.[name.fromConfig]?.safeParse(given).data;
    return typeof value === "string" ? value : undefined;
  } catch {
    // An asynchronous schema: its defaults cannot be known before it runs.
    return undefined;
  }
}

function collectOffers(
  nodes: readonly Node[],
  provided: readonly PlannedProvision[],
): ReadonlyMap<string, ReadonlyMap<string, Offer>> {
  const offers = new Map<string, Map<string, Offer>>();
  const add = (offer: Offer): Offer | undefined => {
    let names = offers.get(offer.point);
    if (names === undefined) {
      names = new Map();
      offers.set(offer.point, names);
    }
    const other = names.get(offer.name);
    if (other === undefined) names.set(offer.name, offer);
    return other;
  };
  for (const provision of provided) add({ ...provision, owner: undefined });
  for (const node of nodes) {
    if (node.provisions.length === 0) continue;
    const { registration } = node;
    for (const provision of node.provisions) {
      const point = registration.plugin.manifest.provides.find(({ point }) => point.id === provision.point)?.point;
      const first = point?.cardinality === "one" ? offers.get(provision.point)?.values().next().value : undefined;
      const other = first ?? add({ ...provision, owner: node });
      if (other !== undefined) {
        const by = other.owner === undefined ? "by the program itself" : `by plugin '${other.owner.registration.id}'`;
        reject(
          node,
          "duplicate-provider",
          `plugin '${registration.id}' provides '${provision.point}' as '${provision.name}', which is provided ${by}${first === undefined ? "" : ` as '${first.name}', and it takes one provider only`}`,
        );
      }
    }
  }
  return offers;
}

function resolveRequirements(
  node: Node,
  offers: ReadonlyMap<string, ReadonlyMap<string, Offer>>,
  adapters: readonly ContractAdapter[],
): void {
  const { registration } = node;
  if (pluginFormatOf(registration.plugin) !== pluginFormat) return;
  const { requires, uses } = registration.plugin.manifest;
  for (const key in requires) resolveRequirement(node, requires[key] as Requirement, offers, adapters, true);
  for (const key in uses) resolveRequirement(node, uses[key] as Requirement, offers, adapters, false);
}

function resolveRequirement(
  node: Node,
  { point, name, all }: Requirement,
  offers: ReadonlyMap<string, ReadonlyMap<string, Offer>>,
  adapters: readonly ContractAdapter[],
  hard: boolean,
): undefined {
  const { registration } = node;
  const known = offers.get(point.id);
  const fits = (offer: Offer): boolean =>
    isContractCompatible(point.version, offer.version) ||
    findAdapter(adapters, point.id, point.version, offer.version) !== undefined;
  if (all) {
    for (const { owner } of known?.values() ?? none) {
      if (owner !== undefined && owner !== node) addEdge(node, "follows", owner);
    }
    return undefined;
  }
  const wanted = name === undefined ? undefined : providerName(registration, name);
  const candidates = [...(known?.values() ?? none)].filter(
    (offer) => (wanted === undefined || offer.name === wanted) && (name !== undefined || offer.owner !== node),
  );
  const what = `'${point.id}' ${point.version}${wanted === undefined ? "" : ` named '${wanted}'`}`;
  const problem = (kind: PlanProblem["kind"], message: string, more: Partial<PlanProblem> = {}): undefined => {
    if (hard) reject(node, kind, message, more);
  };
  if (name !== undefined && wanted === undefined) {
    const key = (name as { readonly fromConfig: string }).fromConfig;
    const message = `plugin '${registration.id}' requires '${point.id}' named by '${key}' of its config, which is not a string`;
    return problem("provider-name", message);
  }
  const [offer] = candidates;
  if (offer === undefined) {
    const have = [...(known?.keys() ?? none)];
    const there = have.length === 0 ? "nothing provides it" : `there is '${have.join("', '")}'`;
    return problem("missing-requirement", `plugin '${registration.id}' requires ${what}, and ${there}`, {
      waitsFor: `${point.id}${wanted === undefined ? "" : ` '${wanted}'`}`,
    });
  }
  if (candidates.length > 1) {
    const list = candidates.map((candidate) => candidate.name).join("', '");
    const message = `plugin '${registration.id}' requires ${what}, and there are several: name one of '${list}'`;
    return problem("ambiguous-requirement", message);
  }
  if (!fits(offer)) {
    const message = `plugin '${registration.id}' requires ${what}, and '${offer.name}' implements version ${offer.version}`;
    return problem("incompatible-contract", message);
  }
  if (offer.owner !== undefined) addEdge(node, hard ? "requires" : "follows", offer.owner);
}

/** Draws the edges of `before` and `after`, by instance id or package name. */
function resolveNeighbours(nodes: readonly Node[], byId: ReadonlyMap<string, Node>): void {
  let byName: Map<string, Node[]> | undefined;
  const find = (name: string): readonly Node[] => {
    const instance = byId.get(name);
    if (instance !== undefined) return [instance];
    if (byName === undefined) {
      byName = new Map();
      for (const node of nodes) {
        const key = node.registration.plugin.manifest?.name;
        byName.set(key, [...(byName.get(key) ?? none), node]);
      }
    }
    return byName.get(name) ?? none;
  };
  for (const node of nodes) {
    const { manifest } = node.registration.plugin;
    if (manifest === undefined) continue;
    for (const name of manifest.after) {
      for (const other of find(name)) if (other !== node) addEdge(node, "follows", other);
    }
    for (const name of manifest.before) {
      for (const other of find(name)) if (other !== node) addEdge(other, "follows", node);
    }
  }
}

/** What requires a rejected plugin is rejected as well, and says so beside its own problems. */
function rejectDependents(nodes: readonly Node[]): void {
  if (!nodes.some(({ rejected }) => rejected)) return;
  const dependents = new Map<Node, Node[]>();
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

/** Orders what is not rejected; cycles are rejected on the way. */
function sort(nodes: readonly Node[]): Plan {
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
function leftover(nodes: readonly Node[], order: readonly Node[]): ReadonlySet<Node> {
  if (order.length === nodes.length) return new Set();
  const left = new Set(nodes.filter(({ rejected }) => !rejected));
  for (const node of order) left.delete(node);
  return left;
}

function rejectCycle(cycle: readonly Node[]): void {
  const ids = cycle.map(({ registration }) => registration.id);
  for (const [index, node] of cycle.entries()) {
    // Each member sees the path from where it stands.
    const path = [...ids.slice(index), ...ids.slice(0, index), node.registration.id];
    reject(node, "cycle", `plugin '${node.registration.id}' is on a cycle: '${path.join("' needs '")}'`, { path });
  }
}

function edges(node: Node): readonly Node[] {
  if (node.follows.length === 0) return node.requires;
  return node.requires.length === 0 ? node.follows : [...node.requires, ...node.follows];
}

/** Kahn's algorithm: whoever has no open edge, in registration order. Nodes on or behind a cycle are left out. */
function topological(nodes: readonly Node[]): readonly Node[] {
  const order: Node[] = [];
  const open = new Map<Node, number>();
  const dependents = new Map<Node, Node[]>();
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
    for (const dependent of dependents.get(order[index] as Node) ?? none) {
      const count = (open.get(dependent) as number) - 1;
      open.set(dependent, count);
      if (count === 0) order.push(dependent);
    }
  }
  return order;
}

function toPlanned(node: Node): PlannedPlugin {
  return {
    id: node.registration.id,
    requires: ids(node.requires),
    follows: ids(node.follows),
    provides: node.provisions,
  };
}

function ids(nodes: readonly Node[]): readonly string[] {
  if (nodes.length === 0) return none;
  const unique = new Set<string>();
  for (const node of nodes) if (!node.rejected) unique.add(node.registration.id);
  return [...unique];
}
