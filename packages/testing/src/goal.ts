/** What is to be reached: a ratio of ours to a peer's, or of ours under much to ours under little. */
export interface Goal {
  readonly name: string;
  /** `atLeast` for speeds, `atMost` for costs, `shown` where there is no goal. */
  readonly bound: { readonly atLeast: number } | { readonly atMost: number } | "shown";
  /** One ratio a round, each of two runs beside each other. */
  readonly ratios: readonly number[];
  /** What the two sides were, in words: medians with units. */
  readonly detail: string;
}

/** A goal, judged. */
export interface Verdict {
  readonly name: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly goal: string;
  readonly verdict: "ok" | "short" | "shown";
  readonly detail: string;
}

/** Takes a goal that was measured. */
export type Report = (goal: Goal) => void;

/** Judges a goal by the median of its rounds. */
export function judge({ name, bound, ratios, detail }: Goal): Verdict {
  const middle = median(ratios);
  const [min, max] = [Math.min(...ratios), Math.max(...ratios)];
  if (bound === "shown") return { name, median: middle, min, max, goal: "", verdict: "shown", detail };
  const reached = "atLeast" in bound ? middle >= bound.atLeast : middle <= bound.atMost;
  const goal = "atLeast" in bound ? `>= ${bound.atLeast}` : `<= ${bound.atMost}`;
  return { name, median: middle, min, max, goal, verdict: reached ? "ok" : "short", detail };
}

/** One line for people. */
export function lineOf({ name, median: middle, min, max, goal, verdict, detail }: Verdict): string {
  const figures = `${middle.toFixed(2)} (${min.toFixed(2)}-${max.toFixed(2)})`;
  return `${name.padEnd(58)} ${figures.padEnd(20)} ${goal.padEnd(8)} ${verdict.padEnd(5)}  [${detail}]`;
}

/** The middle value; of an even number, the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] as number;
}
