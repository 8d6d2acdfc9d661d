/** Two ways of doing the same, to be compared: what the kernel costs on top of doing it by hand. */
export interface Comparison {
  readonly name: string;
  /** The most that `ours` may cost, as a multiple of `peer`. `undefined` for one that is shown beside another. */
  readonly goal: number | undefined;
  /** Times one round, in milliseconds: the work by hand. */
  readonly peer: () => number | Promise<number>;
  /** Times one round, in milliseconds: the same work through the kernel. */
  readonly ours: () => number | Promise<number>;
  readonly rounds: number;
}

/** How a comparison came out. */
export interface Outcome {
  readonly name: string;
  /** The quartiles too: on a shared machine the extremes tell of the others on it. */
  readonly ratio: { readonly median: number; readonly lower: number; readonly upper: number };
  readonly goal: number | undefined;
  readonly ok: boolean;
  /** Medians in milliseconds for one round. */
  readonly ms: { readonly ours: number; readonly peer: number };
}

/**
 * Runs both, interleaved in one process, so that the machine's mood falls on both alike. The first fifth of the rounds warms up and
 * does not count. The ratio is taken round by round.
 */
export async function compare({ name, goal, peer, ours, rounds }: Comparison): Promise<Outcome> {
  const ratios: number[] = [];
  const times = { ours: [] as number[], peer: [] as number[] };
  const warmUp = Math.ceil(rounds / 5);
  for (let round = -warmUp; round < rounds; round++) {
    // Alternating who goes first: the second may inherit the first one's garbage.
    const peerFirst = round % 2 === 0;
    let peerMs = peerFirst ? await peer() : 0;
    const oursMs = await ours();
    if (!peerFirst) peerMs = await peer();
    if (round < 0) continue;
    ratios.push(oursMs / peerMs);
    times.ours.push(oursMs);
    times.peer.push(peerMs);
  }
  const ratio = { median: median(ratios), lower: quantile(ratios, 0.25), upper: quantile(ratios, 0.75) };
  return {
    name,
    ratio,
    goal,
    ok: goal === undefined || ratio.median <= goal,
    ms: { ours: median(times.ours), peer: median(times.peer) },
  };
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The nearest value that there is. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * share)] as number;
}

/** Times something, in milliseconds. */
export async function timed(run: () => unknown): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}
