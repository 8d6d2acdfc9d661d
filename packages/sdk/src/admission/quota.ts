import type { Json } from "@vdc-os/core";
import type { AnyKind } from "../resource/kind.ts";
import type { AdmissionProblem } from "./admission.ts";

/** How much of something, by dimension: `count`, and what the kind's `usage` speaks of. */
export type Usage = Readonly<Record<string, number>>;

/**
 * Limits, by tenant, kind and dimension. `"*"` as a tenant holds for each tenant that has no limits of its own for that kind.
 *
 * @example
 * ```ts
 * const quotas: Quotas = { "*": { Volume: { count: 100, bytes: 2 ** 40 } }, research: { Volume: { bytes: 2 ** 44 } } };
 * ```
 */
export type Quotas = Readonly<Record<string, Readonly<Record<string, Usage>>>>;

/** The state store's key of what a tenant uses of a kind. It is written in the transactions that change what is used. */
export function usageKeyOf(tenant: string, kind: string): string {
  return `usage/${tenant}/${kind}`;
}

/** What one object uses. */
export function usageOf(kind: AnyKind, spec: unknown): Usage {
  return { ...kind.usage?.(spec), count: 1 };
}

/** What is used after some is added and some given back. Dimensions that come to 0 are left out. */
export function changeUsage(current: Usage, added: Usage, removed: Usage): Usage {
  const result: Record<string, number> = {};
  for (const dimension of new Set([...Object.keys(current), ...Object.keys(added), ...Object.keys(removed)])) {
    const amount = (current[dimension] ?? 0) + (added[dimension] ?? 0) - (removed[dimension] ?? 0);
    if (amount > 0) result[dimension] = amount;
  }
  return result;
}

/** What a change of usage would exceed. Who is over a limit already may still shrink. Pure. */
export function quotaProblems(
  quotas: Quotas,
  target: { readonly tenant: string; readonly kind: string },
  change: { readonly before: Usage; readonly after: Usage },
): readonly AdmissionProblem[] {
  const limits = quotas[target.tenant]?.[target.kind] ?? quotas["*"]?.[target.kind] ?? {};
  const problems: AdmissionProblem[] = [];
  for (const [dimension, limit] of Object.entries(limits)) {
    const [used, wanted] = [change.before[dimension] ?? 0, change.after[dimension] ?? 0];
    if (wanted <= limit || wanted <= used) continue;
    const message = `quota of tenant '${target.tenant}': ${dimension} of ${target.kind} would be ${wanted}, the limit is ${limit}`;
    problems.push({ step: "quota", path: "", message });
  }
  return problems;
}

/** What an entry of the state store says is used. */
export function decodeUsage(value: Json | undefined): Usage {
  return (value ?? {}) as Usage;
}
