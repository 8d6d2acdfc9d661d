import type { PortStatistics } from "../port.ts";

/** Counters of a port: as many of them as a provider keeps. */
export type Counters = Readonly<Partial<Omit<PortStatistics, "portKey">>>;

/** The sum of two counts of the same port, of the counters that `a` has. */
export function addCounters<C extends Counters>(a: C, b: Counters): C {
  return combineCounters(a, b, (one, other) => one + other);
}

/** What was counted since, of the counters that `now` has. Never less than nothing. */
export function countersSince<C extends Counters>(now: C, base: Counters): C {
  return combineCounters(now, base, (one, other) => (one < other ? 0n : one - other));
}

/** Two counts of the same port as one, counter by counter: of those that `a` has, and of every reason for drops that either has. */
export function combineCounters<C extends Counters>(
  a: C,
  b: Counters,
  combine: (one: bigint, other: bigint) => bigint,
): C {
  const each = (one = "0", other = "0"): string => String(combine(BigInt(one), BigInt(other)));
  const byReason = (one: ByReason, other: ByReason = {}): ByReason =>
    Object.fromEntries(Object.keys({ ...one, ...other }).map((reason) => [reason, each(one[reason], other[reason])]));
  const names = Object.keys(a) as (keyof Counters)[];
  return Object.fromEntries(
    names.map((name) => {
      const [one, other] = [a[name], b[name]];
      const isTable = typeof one === "object";
      return [name, isTable ? byReason(one, other as ByReason | undefined) : each(one, other as string | undefined)];
    }),
  ) as C;
}

type ByReason = Readonly<Record<string, string>>;
