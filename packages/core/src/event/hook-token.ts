/**
 * How the functions hooked to a point are combined.
 *
 * - `notify`: all are called; what they return is ignored; one that throws does not stop the others.
 * - `first`: in order, until one returns something other than `undefined`: that is the result.
 * - `collect`: all are called; the results that are not `undefined`, in order.
 * - `waterfall`: each gets what the one before returned, and returns the next value.
 */
export type HookKind = "notify" | "first" | "collect" | "waterfall";

/** A hook: a value token that carries its kind, and the types of what goes in and comes out. */
export interface HookToken<Kind extends HookKind, Input, Output> {
  readonly id: string;
  readonly kind: Kind;
  readonly summary: string;
  /** Never present at run time. */
  readonly "~types"?: (input: Input) => Output;
}

/** The function that is hooked. Synchronous results stay synchronous. */
export type HookFunction<Input, Output> = (input: Input) => Output | undefined | Promise<Output | undefined>;

/** What running a hook gives, by its kind. Synchronous when every function that ran was. */
export type HookResult<Kind extends HookKind, Output> = Kind extends "notify"
  ? void | Promise<void>
  : Kind extends "first"
    ? Output | undefined | Promise<Output | undefined>
    : Kind extends "collect"
      ? readonly Output[] | Promise<readonly Output[]>
      : Output | Promise<Output>;

/** Defines a hook. Anyone may. */
export function defineHook<Input, Output = void>(): <Kind extends HookKind>(options: {
  readonly id: string;
  readonly kind: Kind;
  readonly summary: string;
}) => HookToken<Kind, Input, Output> {
  return (options) => Object.freeze({ ...options });
}
