/**
 * Admission: what a spec goes through before it is committed. In this order: the schema (which fills in its defaults), the kind's
 * `defaults`, policies in their order (which may change the object), the schema again if one did, immutable fields, the kind's
 * `validate`. Quota is checked beside it, see `quota.ts`. A rejection is one `VdcError` with every problem that was found.
 */
import { type ErrorCode, type Json, toVdcError, VdcError } from "@vdc-os/core";
import { fieldsOf, isEqualJson, memberPath, toJson, valueAt } from "../resource/field-path.ts";
import type { Kind, Problem } from "../resource/kind.ts";
import type { Resource } from "../resource/resource.ts";

/** What a policy says about an object. */
export type PolicyDecision =
  | { readonly type: "allow" }
  | { readonly type: "deny"; readonly reason: string; readonly path?: string }
  /** Goes on with this spec, labels or annotations instead. */
  | {
      readonly type: "mutate";
      readonly spec?: unknown;
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    };

/** A rule of the operator's. `decide` is a pure function: it may run more than once for one call. */
export interface Policy {
  /** Names it in rejections. */
  readonly name: string;
  /** The kinds that it is asked about. Defaults to all. */
  readonly kinds?: readonly string[];
  /** `old` is `undefined` for a create. */
  decide(object: Resource, old: Resource | undefined): PolicyDecision;
}

/** Which step found a problem. */
export type AdmissionStep = "schema" | "immutable" | "validate" | "policy" | "quota";

/** A problem, and which step found it. */
export interface AdmissionProblem extends Problem {
  readonly step: AdmissionStep;
}

/** The object as it shall be committed, and everything that speaks against it. */
export interface AdmissionResult<Spec, Status> {
  readonly object: Resource<Spec, Status>;
  readonly problems: readonly AdmissionProblem[];
}

/** Runs the chain on an object whose spec is what the caller wrote. Pure; never throws because of what it finds. */
export function admit<Spec, Status, Input>(
  kind: Kind<Spec, Status, Input>,
  proposed: Resource<unknown, Status>,
  options: { readonly old?: Resource<Spec, Status> | undefined; readonly policies: readonly Policy[] },
): AdmissionResult<Spec, Status> {
  const { old, policies } = options;
  const problems: AdmissionProblem[] = [];
  let object = proposed as Resource<Spec, Status>;
  const parse = (): boolean => {
    const parsed = kind.spec.safeParse(object.spec);
    if (!parsed.success) {
      for (const { path, message } of parsed.error.issues) {
        const at = path.reduce<string>((parent, segment) => memberPath(parent, String(segment)), "");
        problems.push({ step: "schema", path: at, message });
      }
      return false;
    }
    const spec = kind.defaults === undefined ? parsed.data : kind.defaults(parsed.data);
    object = { ...object, spec: toJson(spec) as Spec };
    return true;
  };
  if (!parse()) return { object, problems };
  let mutated = false;
  for (const policy of policies) {
    if (policy.kinds !== undefined && !policy.kinds.includes(kind.kind)) continue;
    const decision = decide(policy, object, old);
    if (decision.type === "deny") {
      const message = `policy '${policy.name}': ${decision.reason}`;
      problems.push({ step: "policy", path: decision.path ?? "", message });
    } else if (decision.type === "mutate") {
      const { labels, annotations } = decision;
      const spec = "spec" in decision ? (decision.spec as Spec) : object.spec;
      const metadata = { ...object.metadata, ...(labels && { labels }), ...(annotations && { annotations }) };
      object = { ...object, spec, metadata };
      mutated ||= "spec" in decision;
    }
  }
  if (mutated && !parse()) return { object, problems };
  if (old !== undefined)
    problems.push(...immutableProblems(kind.immutable ?? [], object.spec as Json, old.spec as Json));
  problems.push(...(kind.validate?.(object, old) ?? []).map((problem) => ({ step: "validate" as const, ...problem })));
  return { object, problems };
}

/** The error that a rejection is thrown as. Its `details.problems` lists them all. */
export function rejection(kind: string, name: string, problems: readonly AdmissionProblem[]): VdcError {
  const text = problems.map(({ path, message }) => (path === "" ? message : `'${path}' ${message}`)).join("; ");
  return new VdcError(codeOf(problems), `${kind} '${name}' is refused: ${text}`, {
    reason: "VDC_ADMISSION_REFUSED",
    details: { kind, name, problems: problems.map((problem) => ({ ...problem })) },
    retryable: false,
  });
}

function codeOf(problems: readonly AdmissionProblem[]): ErrorCode {
  const steps = new Set(problems.map(({ step }) => step));
  if (steps.has("schema") || steps.has("validate")) return "INVALID_ARGUMENT";
  if (steps.has("immutable")) return "FAILED_PRECONDITION";
  return steps.has("policy") ? "PERMISSION_DENIED" : "RESOURCE_EXHAUSTED";
}

function decide(policy: Policy, object: Resource, old: Resource | undefined): PolicyDecision {
  try {
    return policy.decide(object, old);
  } catch (error) {
    // A policy that cannot decide must not let everything through.
    return { type: "deny", reason: `it failed: ${toVdcError(error).message}` };
  }
}

function immutableProblems(paths: readonly string[], spec: Json, old: Json): readonly AdmissionProblem[] {
  const changed = new Set<string>();
  for (const path of paths) {
    const [before, after] = [valueAt(old, path), valueAt(spec, path)];
    if (isEqualJson(before, after)) continue;
    const [was, is] = [fieldsOf(before ?? null, path), fieldsOf(after ?? null, path)];
    for (const field of new Set([...was.keys(), ...is.keys()])) {
      if (!isEqualJson(was.get(field), is.get(field))) changed.add(field);
    }
  }
  return [...changed].map((path) => ({ step: "immutable", path, message: "cannot be changed after creation" }));
}
