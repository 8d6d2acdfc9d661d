import { coreVersion } from "../core-version.ts";
import { extensionPointFormat, extensionPointFormatOf } from "../extension-point/extension-point.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import { pluginFormat, pluginFormatOf } from "../plugin/define-plugin.ts";
import { none, addEdge, type PlanNode, reject } from "./plan-node.ts";
import { collectOffers } from "./plan-offers.ts";
import type { Plan, PlanInput, PlannedProvision } from "./plan.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { providerName } from "./provider-name.ts";
import { resolveRequirements } from "./resolve-requirements.ts";
import { rejectDependents, sortPlan } from "./sort-plan.ts";

/** What the caller knows already, so that it is not looked for again. */
export interface MakePlanOptions {
  /** No two plugins have the same id. Defaults to `false`: then that is checked. */
  readonly distinct?: boolean;
}

/** See `planPlugins`. */
export function makePlan(input: PlanInput, { distinct = false }: MakePlanOptions = {}): Plan {
  const adapters = input.adapters ?? none;
  // Ten thousand plugins say the same few core versions: each is looked at once.
  const cores = new Map<string, boolean>();
  const nodes = input.plugins.map((registration) => makeNode(registration, cores));
  if (!distinct) rejectDuplicates(nodes);
  const offers = collectOffers(nodes, input.provided ?? none);
  for (const node of nodes) resolveRequirements(node, offers, adapters);
  resolveNeighbours(nodes);
  rejectDependents(nodes);
  return sortPlan(nodes);
}

function rejectDuplicates(nodes: readonly PlanNode[]): void {
  const ids = new Set<string>();
  for (const node of nodes) {
    const { id } = node.registration;
    if (ids.has(id)) {
      reject(node, "duplicate-id", `a plugin with the id '${id}' is registered already: give one another id`);
    } else {
      ids.add(id);
    }
  }
}

function makeNode(registration: PluginRegistration, cores: Map<string, boolean>): PlanNode {
  const node: PlanNode = {
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

/** What a plugin will provide, under which names. */
function plannedProvisions(node: PlanNode): readonly PlannedProvision[] {
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

/** Draws the edges of `before` and `after`, by instance id or package name. */
function resolveNeighbours(nodes: readonly PlanNode[]): void {
  let byId: Map<string, PlanNode> | undefined;
  let byName: Map<string, PlanNode[]> | undefined;
  const find = (name: string): readonly PlanNode[] => {
    byId ??= indexById(nodes);
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

/** Of several with one id the first one counts: the others are rejected for it. */
function indexById(nodes: readonly PlanNode[]): Map<string, PlanNode> {
  const byId = new Map<string, PlanNode>();
  for (const node of nodes) if (!byId.has(node.registration.id)) byId.set(node.registration.id, node);
  return byId;
}
