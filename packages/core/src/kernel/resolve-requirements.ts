import { type ContractAdapter, findAdapter } from "../extension-point/contract-adapter.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import { pluginFormat, pluginFormatOf } from "../plugin/define-plugin.ts";
import type { Requirement } from "../plugin/manifest.ts";
import type { Offer, Offers } from "./plan-offers.ts";
import { addEdge, none, type PlanNode, reject } from "./plan-node.ts";
import type { PlanProblem } from "./plan.ts";
import { providerName } from "./provider-name.ts";

/** Draws the edges of what a plugin requires and uses, and rejects it for each requirement that cannot be met. */
export function resolveRequirements(node: PlanNode, offers: Offers, adapters: readonly ContractAdapter[]): void {
  const { registration } = node;
  if (pluginFormatOf(registration.plugin) !== pluginFormat) return;
  const { requires, uses } = registration.plugin.manifest;
  for (const key in requires) resolveRequirement(node, requires[key] as Requirement, offers, adapters, true);
  for (const key in uses) resolveRequirement(node, uses[key] as Requirement, offers, adapters, false);
}

function resolveRequirement(
  node: PlanNode,
  { point, name, all }: Requirement,
  offers: Offers,
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
