import type { Contract } from "@vdc-os/core";
import { runRequirement } from "./run-requirement.ts";
import type { Instance, Suite } from "./suite.ts";

/** A deliberately broken implementation. The suite must catch it. */
export interface Mutant<T extends Contract, I extends Instance<T> = Instance<T>> {
  /** Id of the requirement that it breaks. */
  readonly breaks: string;
  /** What it does wrong, in a few words. */
  readonly how: string;
  /** Breaks a fresh, correct instance. */
  mutate(instance: I): I | Promise<I>;
}

/** What became of a mutant. */
export interface MutantResult {
  readonly requirement: string;
  readonly how: string;
  readonly caught: boolean;
  /** What the requirement said, or why the mutant was not caught. */
  readonly message: string;
}

/** Options of {@link provesSuite}. */
export interface ProvesSuiteOptions<T extends Contract, I extends Instance<T>> {
  /** Makes a fresh, correct instance: a small reference implementation. */
  readonly create: () => I | Promise<I>;
  readonly mutants: readonly Mutant<T, I>[];
  /** How long a requirement may take on a mutant, in milliseconds: one that hangs is caught by this. Defaults to `1_000`. */
  readonly timeoutMs?: number;
}

/** What a proof found. The suite is proved when `holes` is empty. */
export interface SuiteProof {
  readonly mutants: readonly MutantResult[];
  /** What is wrong with the suite, the reference or the mutants. */
  readonly holes: readonly string[];
}

/**
 * Proves that a suite is worth something: the reference passes each requirement, and each requirement catches a mutant that breaks it.
 * A requirement without a mutant, and a mutant without a requirement, are holes.
 */
export async function provesSuite<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  options: ProvesSuiteOptions<T, I>,
): Promise<SuiteProof> {
  const { timeoutMs = 1_000 } = options;
  const holes: string[] = [];
  const mutants: MutantResult[] = [];
  for (const requirement of suite.requirements) {
    const right = await runRequirement(suite, requirement, { create: options.create });
    if (right.status !== "pass")
      holes.push(`the reference does not pass '${right.id}': ${right.status}, ${right.message}`);
    const own = options.mutants.filter(({ breaks }) => breaks === requirement.id);
    if (own.length === 0) holes.push(`no mutant breaks '${requirement.id}'`);
    for (const mutant of own) {
      const result = await runRequirement(suite, requirement, {
        create: async () => mutant.mutate(await options.create()),
        timeoutMs,
      });
      const caught = result.status === "fail";
      const message = result.message ?? "it passed";
      mutants.push({ requirement: requirement.id, how: mutant.how, caught, message });
      if (!caught) holes.push(`'${requirement.id}' does not catch '${mutant.how}': ${result.status}, ${message}`);
    }
  }
  for (const { breaks } of options.mutants) {
    if (!suite.requirements.some(({ id }) => id === breaks))
      holes.push(`a mutant breaks '${breaks}', which is no requirement`);
  }
  return { mutants, holes };
}

/** A proof as a table for people: each requirement, the mutant, and what caught it. */
export function mutationTable(proof: SuiteProof): string {
  const width = Math.max(0, ...proof.mutants.map(({ requirement }) => requirement.length));
  const lines = proof.mutants.map(({ requirement, how, caught, message }) => {
    const said = message.length > 110 ? `${message.slice(0, 110)}...` : message;
    return `${caught ? "caught" : "MISSED"}  ${requirement.padEnd(width)}  ${how}\n${" ".repeat(width + 10)}-> ${said}`;
  });
  const caught = proof.mutants.filter((mutant) => mutant.caught).length;
  return [...lines, `${caught} of ${proof.mutants.length} mutants caught`].join("\n");
}
