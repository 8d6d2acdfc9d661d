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
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number };
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
  const ratio = { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
  return {
    name,
    ratio,
    goal,
    ok: goal === undefined || ratio.median <= goal,
    ms: { ours: median(times.ours), peer: median(times.peer) },
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Times something, in milliseconds. */
export async function timed(run: () => unknown): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}
