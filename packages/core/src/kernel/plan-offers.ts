import { type PlanNode, reject } from "./plan-node.ts";
import type { PlannedProvision } from "./plan.ts";

/** A provider that requirements may be met by. */
export interface Offer extends PlannedProvision {
  /** `undefined` for a provider that no plugin owns. */
  readonly owner: PlanNode | undefined;
}

/** What is offered: by the point's id, then by the provider's name. */
export type Offers = ReadonlyMap<string, ReadonlyMap<string, Offer>>;

/** Collects what plugins and the program provide. A second provider of one name, or of a point that takes one only, is rejected. */
export function collectOffers(nodes: readonly PlanNode[], provided: readonly PlannedProvision[]): Offers {
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
