// How to add a suite for an extension point
//
// 1. Make a folder `src/<point>/` with one file for each group of requirements, each exporting
//    `const <group>: readonly Requirement<Contract, ContractInstance>[]`, and `<point>-suite.ts` that joins them with `defineSuite`.
//    What a requirement needs beyond the contract (a way to restart, a clock) goes into an interface `<Point>Instance extends Instance`.
// 2. A requirement calls `test.provider` (or `test.facet("name")`) with `test.operation()` as the context, and says what must hold with
//    `must`, `mustEqual` and `mustReject`. Results and error codes are held against the contract's schemas at each call by the
//    machinery, so a requirement checks meaning only. Each runs on an instance of its own: assume nothing is there, clean nothing up.
// 3. A facet's requirements name their `facet`: they run where `describe` says it is available. Call `test.skip` only when the author's
//    factory withholds what the requirement needs; a skipped requirement makes the verdict `partial`. Call
//    `test.notApplicable` where a limit or an attribute that `describe` tells leaves it out.
// 4. Beside it, write a small in-memory reference (`reference-<point>.ts`) and `<point>-suite.test.ts` with `describeProof`: for each
//    requirement, a mutant of the reference that breaks it, which the suite must catch. A requirement without a mutant fails the proof.
// 5. Add the subpath `./<point>` to the package's exports (source and dist), and list what it exports in `src/<point>/index.ts`.

import type {
  CallOptions,
  Contract,
  Description,
  ExtensionPoint,
  FacetName,
  FacetOf,
  OperationContext,
} from "@vdc-os/core";

/** What an author's factory gives for one requirement: a fresh implementation that shares nothing with another. */
export interface Instance<T extends Contract> {
  readonly implementation: T;
  /** Releases it. Called once, also after a failure. */
  dispose?(): void | Promise<void>;
}

/** What a requirement works with. */
export interface SuiteTest<T extends Contract, I extends Instance<T>> {
  /** The implementation under test, over the transport under test, with each result held against the contract. */
  readonly provider: T;
  /** What the factory gave. */
  readonly instance: I;
  /** What the implementation says of itself. */
  readonly description: Description;
  /** The context of a call. It is cancelled when the requirement's time is up. */
  operation(options?: CallOptions): OperationContext;
  /** The operations of a facet that is available. Fails the requirement when the implementation does not have it after all. */
  facet<Name extends FacetName<T>>(name: Name): FacetOf<T, Name>;
  /** Another implementation, such as the same store after a restart, over the same transport. */
  wrap(implementation: T): Promise<T>;
  /** Ends the requirement as `skipped`: the factory does not give what it needs. */
  skip(reason: string): never;
  /** Ends the requirement as `not-applicable`: in `describe` the implementation says that it does not have what this is about. */
  notApplicable(reason: string): never;
}

/**
 * `core` is what must be met: by every implementation, or, in a facet, by each that has it. `extended` is what makes a good one, and what a
 * facet adds. Each level of each facet is a profile, with a result of its own in the report.
 */
export type RequirementLevel = "core" | "extended";

/** One requirement of a contract. */
export interface Requirement<T extends Contract, I extends Instance<T> = Instance<T>> {
  /** Dotted, stable, begins with the suite's name: `state.transact.atomic`. */
  readonly id: string;
  /** What the implementation must do, in one sentence. */
  readonly title: string;
  /** Where the contract says so: the member, and its words. */
  readonly clause: string;
  readonly level: RequirementLevel;
  /** Only for implementations that say this facet is available. */
  readonly facet?: FacetName<T>;
  run(test: SuiteTest<T, I>): Promise<void>;
}

/** The certification suite of one extension point: data, for any runner. */
export interface Suite<T extends Contract, I extends Instance<T> = Instance<T>> {
  /** First part of each requirement's id. */
  readonly name: string;
  readonly point: ExtensionPoint<T>;
  readonly requirements: readonly Requirement<T, I>[];
}

/** Options of {@link defineSuite}. */
export interface DefineSuiteOptions<T extends Contract, I extends Instance<T>> {
  readonly name: string;
  readonly point: ExtensionPoint<T>;
  readonly requirements: readonly Requirement<T, I>[];
}

/** Defines a suite. Throws a `TypeError` when an id is taken twice or malformed, or a facet is not in the contract. */
export function defineSuite<T extends Contract, I extends Instance<T>>(options: DefineSuiteOptions<T, I>): Suite<T, I> {
  const { name, point } = options;
  const requirements = [...options.requirements];
  const ids = new Set<string>();
  for (const { id, facet } of requirements) {
    if (!/^[a-z][a-zA-Z-]*(\.[a-z][a-zA-Z-]*)+$/.test(id) || !id.startsWith(`${name}.`)) {
      throw new TypeError(`requirement '${id}' must be dotted and begin with '${name}.'`);
    }
    if (ids.has(id)) throw new TypeError(`requirement '${id}' is there twice`);
    ids.add(id);
    if (facet !== undefined && !Object.hasOwn(point.facets, facet)) {
      throw new TypeError(`requirement '${id}' is for facet '${facet}', which '${point.id}' does not have`);
    }
  }
  return Object.freeze({ name, point, requirements });
}
