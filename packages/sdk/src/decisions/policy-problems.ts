import type { Description, JsonObject } from "@vdc-os/core";
import type { AttributeConstraint, StoragePolicySpec } from "../kinds/storage-policy-spec.ts";

/** What a policy is held against: a provider's description, and the labels of its pool. */
export interface PolicySubject {
  readonly facets: Description["facets"];
  readonly attributes: JsonObject;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Why a provider does not satisfy a policy, each reason a phrase that follows its name: `has no facet 'snapshots': ...`. Empty when it does. Space is
 * another matter: see `placeVolume`. Pure.
 */
export function policyProblems(policy: StoragePolicySpec, subject: PolicySubject): readonly string[] {
  const problems: string[] = [];
  const needed = policy.qos === undefined ? policy.facets : [...new Set([...policy.facets, "qos"])];
  for (const name of needed) {
    const facet = subject.facets[name];
    if (facet?.status !== "available")
      problems.push(`has no facet '${name}': ${facet?.reason ?? "it does not list it"}`);
  }
  for (const [name, constraint] of Object.entries(policy.attributes)) {
    const problem = attributeProblem(constraint, subject.attributes[name]);
    if (problem !== undefined) problems.push(`${problem.found(name)}, and must be ${problem.wanted}`);
  }
  const { thin, encryptedAtRest } = subject.attributes;
  if (policy.provisioning !== "any" && thin !== (policy.provisioning === "thin")) {
    problems.push(
      thin === undefined
        ? "does not say whether it is thin"
        : `is ${thin ? "thin" : "thick"}, and must be ${policy.provisioning}`,
    );
  }
  if (policy.encryption === "required" && encryptedAtRest !== true) problems.push("does not encrypt what it keeps");
  for (const [label, value] of Object.entries(policy.requiredLabels)) {
    const found = subject.labels[label];
    if (found !== value)
      problems.push(
        `has ${found === undefined ? "no label" : `label`} '${label}'${found === undefined ? "" : ` '${found}'`}, and must have '${value}'`,
      );
  }
  return problems;
}

function attributeProblem(constraint: AttributeConstraint, value: unknown) {
  const { in: values, atLeast } = constraint;
  const right =
    (values === undefined || values.some((allowed) => allowed === value)) &&
    (atLeast === undefined || (typeof value === "number" && value >= atLeast));
  if (right) return undefined;
  const wanted = [
    ...(values === undefined ? [] : [values.map((allowed) => `'${allowed}'`).join(" or ")]),
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
  ].join(" and ");
  const found = (name: string): string =>
    value === undefined ? `does not tell its attribute '${name}'` : `has attribute '${name}' '${String(value)}'`;
  return { wanted, found };
}
