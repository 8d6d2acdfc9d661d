import { attributeError, VdcError } from "../error/vdc-error.ts";
import type { ListenerErrorSink, Unsubscribe } from "./event-bus.ts";
import type { HookFunction, HookKind, HookResult, HookToken } from "./hook-token.ts";

/** Options of {@link HookRegistry.add}. */
export interface AddHookOptions {
  /** Who hooks: errors are attributed to it, and `before` and `after` of others refer to it. */
  readonly plugin?: string | undefined;
  /** Other names that `before` and `after` may use for it: its package's. */
  readonly aliases?: readonly string[];
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

interface Hooked {
  readonly run: HookFunction<unknown, unknown>;
  readonly plugin: string;
  readonly names: readonly string[];
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/**
 * The functions hooked to each hook, in an order that does not depend on who came first: `before` and `after` decide, then the
 * plugins' ids.
 */
export class HookRegistry {
  readonly #hooked = new Map<string, readonly Hooked[]>();
  readonly #onError: ListenerErrorSink;

  constructor(options: { readonly onListenerError: ListenerErrorSink }) {
    this.#onError = options.onListenerError;
  }

  /** Hooks a function. Throws `FAILED_PRECONDITION` when `before` and `after` contradict each other; the message names the circle. */
  add<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    run: HookFunction<Input, Output>,
    options: AddHookOptions = {},
  ): Unsubscribe {
    const plugin = options.plugin ?? "";
    const entry: Hooked = {
      run: run as HookFunction<unknown, unknown>,
      plugin,
      names: [plugin, ...(options.aliases ?? [])],
      before: options.before ?? [],
      after: options.after ?? [],
    };
    this.#hooked.set(hook.id, order(hook.id, [...(this.#hooked.get(hook.id) ?? []), entry]));
    return () => {
      const rest = (this.#hooked.get(hook.id) ?? []).filter((other) => other !== entry);
      if (rest.length === 0) this.#hooked.delete(hook.id);
      else this.#hooked.set(hook.id, rest);
    };
  }

  /**
   * Runs what is hooked. With `notify` a failure is reported and the others go on; with the other kinds the first failure is thrown,
   * attributed to its plugin.
   */
  run<Kind extends HookKind, Input, Output>(
    hook: HookToken<Kind, Input, Output>,
    input: Input,
  ): HookResult<Kind, Output> {
    const hooked = this.#hooked.get(hook.id) ?? [];
    return this.#kinds[hook.kind](hook.id, hooked, input) as HookResult<Kind, Output>;
  }

  readonly #kinds: Record<HookKind, (id: string, hooked: readonly Hooked[], input: unknown) => unknown> = {
    notify: (id, hooked, input) => this.#notify(id, hooked, input),
    first: (id, hooked, input) =>
      fold(
        id,
        hooked,
        () => input,
        undefined,
        (_, result) => result,
        isDefined,
      ),
    collect: (id, hooked, input) => {
      const results: unknown[] = [];
      const collect = (_: unknown, result: unknown): unknown => {
        if (result !== undefined) results.push(result);
        return results;
      };
      return fold(id, hooked, () => input, results, collect, never);
    },
    waterfall: (id, hooked, input) =>
      fold(
        id,
        hooked,
        (value) => value,
        input,
        (value, result) => (result === undefined ? value : result),
        never,
      ),
  };

  #notify(source: string, hooked: readonly Hooked[], input: unknown): void | Promise<void> {
    const pending: Promise<unknown>[] = [];
    for (const { run, plugin } of hooked) {
      const report = (error: unknown): void =>
        this.#onError({ plugin: plugin || undefined, source, error: attributeError(error, plugin || undefined) });
      try {
        const result = run(input);
        if (isPromise(result)) pending.push(result.then(undefined, report));
      } catch (error) {
        report(error);
      }
    }
    if (pending.length > 0) return Promise.all(pending).then(() => undefined);
  }
}

const isDefined = (value: unknown): boolean => value !== undefined;
const never = (): boolean => false;

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as Promise<unknown> | undefined)?.then === "function";
}

/** Runs one after the other, staying synchronous until a function answers with a promise. */
function fold(
  source: string,
  hooked: readonly Hooked[],
  inputOf: (value: unknown) => unknown,
  initial: unknown,
  combine: (value: unknown, result: unknown) => unknown,
  isDone: (value: unknown) => boolean,
): unknown {
  const from = (start: number, initialValue: unknown): unknown => {
    let value = initialValue;
    for (let index = start; index < hooked.length; index++) {
      const { run, plugin } = hooked[index] as Hooked;
      const fail = (error: unknown): never => {
        throw attributeHookError(error, plugin, source);
      };
      let result: unknown;
      try {
        result = run(inputOf(value));
      } catch (error) {
        fail(error);
      }
      if (isPromise(result)) {
        const before = value;
        return result.then((settled) => {
          const next = combine(before, settled);
          return isDone(next) ? next : from(index + 1, next);
        }, fail);
      }
      value = combine(value, result);
      if (isDone(value)) return value;
    }
    return value;
  };
  return from(0, initial);
}

function attributeHookError(error: unknown, plugin: string, source: string): VdcError {
  const attributed = attributeError(error, plugin || undefined);
  if (attributed !== error) attributed.message = `hook '${source}' of plugin '${plugin}': ${attributed.message}`;
  return attributed;
}

/** Sorts by `before` and `after`; of those that are free, the least plugin id comes first. */
function order(source: string, hooked: readonly Hooked[]): readonly Hooked[] {
  // A stable sort: what one plugin hooked twice stays in the order of hooking.
  const rest = [...hooked].sort((a, b) => (a.plugin < b.plugin ? -1 : a.plugin > b.plugin ? 1 : 0));
  const precedes = (a: Hooked, b: Hooked): boolean =>
    a.plugin !== b.plugin &&
    (a.before.some((name) => b.names.includes(name)) || b.after.some((name) => a.names.includes(name)));
  const sorted: Hooked[] = [];
  while (rest.length > 0) {
    const index = rest.findIndex((candidate) => !rest.some((other) => precedes(other, candidate)));
    if (index < 0) {
      const circle = [...new Set(rest.map(({ plugin }) => plugin))].join("', '");
      throw new VdcError("FAILED_PRECONDITION", `hook '${source}': 'before' and 'after' of '${circle}' form a circle`, {
        reason: "VDC_HOOK_ORDER_CYCLE",
      });
    }
    sorted.push(...rest.splice(index, 1));
  }
  return sorted;
}
