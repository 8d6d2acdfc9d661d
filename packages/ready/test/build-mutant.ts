import { type Contract, isVdcError, type VdcError } from "@vdc-os/core";
import type { Mutant } from "../src/suite/proves-suite.ts";
import type { Instance } from "../src/suite/suite.ts";

/** An instance whose implementation may be killed and opened again. */
export interface Reopening<T extends Contract> extends Instance<T> {
  reopen?(): T | Promise<T>;
}

/** Builds a mutant of the reference `M` that answers some operations in another way, also after it is opened again. */
export type BuildMutant<T extends Contract, I extends Reopening<T>, M extends T> = (
  breaks: string,
  how: string,
  change: (memory: M) => Partial<T>,
) => Mutant<T, I>;

/** Builds a mutant of the reference `M` that has lost something when it is opened again. */
export type BuildForgetful<T extends Contract, I extends Reopening<T>, M extends T> = (
  breaks: string,
  how: string,
  forget: (opened: M) => void,
) => Mutant<T, I>;

/** What builds the mutants of a suite. `M` is what the suite's reference is. */
export function mutantsOf<T extends Contract, I extends Reopening<T>, M extends T>(): BuildMutant<T, I, M> {
  return (breaks, how, change) => {
    const broken = (memory: T): T => withChanges(memory, change(memory as M));
    return {
      breaks,
      how,
      mutate: (instance) => reopensAs({ ...instance, implementation: broken(instance.implementation) }, broken),
    };
  };
}

/** What builds the mutants of a suite that lose something. `M` is what the suite's reference is. */
export function forgetfulOf<T extends Contract, I extends Reopening<T>, M extends T>(): BuildForgetful<T, I, M> {
  return (breaks, how, forget) => ({
    breaks,
    how,
    mutate: (instance) =>
      reopensAs(instance, (opened) => {
        forget(opened as M);
        return opened;
      }),
  });
}

function reopensAs<T extends Contract, I extends Reopening<T>>(instance: I, turn: (opened: T) => T): I {
  const { reopen } = instance;
  return reopen === undefined ? instance : { ...instance, reopen: async () => turn(await reopen()) };
}

/** Something, with other things in place of some of what it has. What it has of itself calls itself as it was. */
export function withChanges<T extends object>(subject: T, change: Partial<T>): T {
  return new Proxy(subject, {
    get(target, name) {
      if (Object.hasOwn(change, name)) return Reflect.get(change, name);
      // A reference keeps its methods on the prototype.
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** What a call returns, or something else where it refuses. */
export async function forgiving<T>(call: Promise<T>, otherwise: (error: VdcError) => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise(error);
  }
}
