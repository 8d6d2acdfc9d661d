import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { must } from "./must.ts";

/** Options of {@link mustKeepNoMemory}. */
export interface KeepNoMemoryOptions {
  /** How often it is called in a round. */
  readonly calls: number;
  /** How much the heap and what hangs on it may grow for each call, in bytes: a call that keeps anything keeps more. */
  readonly bytesPerCall: number;
  /** For how long it is called in all, in milliseconds. Defaults to `10_000`. */
  readonly timeMs?: number;
}

/** How many rounds there are at most. */
const rounds = 12;

/**
 * Fails unless memory stops growing when something is called again and again. What is made once, what is cleared away after thousands of calls, and what else
 * the process does, shows in some rounds; what each call keeps shows in all. An implementation in another process is not measured.
 */
export async function mustKeepNoMemory(call: () => Promise<unknown>, options: KeepNoMemoryOptions): Promise<void> {
  const { calls, bytesPerCall, timeMs = 10_000 } = options;
  const end = performance.now() + timeMs;
  let made = 0;
  const round = (): Promise<number> =>
    heapGrowth(async () => {
      for (made = 0; made < calls && performance.now() < end; made += 1) await call();
    });
  const enough = calls * bytesPerCall;
  let grown = await round();
  for (let done = 1; done < rounds && grown >= enough; done += 1) {
    const next = await round();
    // Where calls are slow time cuts a round short. It is judged by what each of its calls kept, and says nothing when it had few.
    if (made >= calls / 10) grown = Math.min(grown, Math.round((next * calls) / made));
    if (made < calls) break;
  }
  must(grown < enough, `the heap must not grow with each call, and grows by ${grown} bytes in ${calls}`);
}

/**
 * How many bytes more than before are in use when something is done, and what it left to the collector is gone. What is held weakly, as signals are that follow
 * each other, goes in a turn of its own after a collection; `turns` says how many are waited for.
 */
export async function heapGrowth(work: () => Promise<unknown>, turns = 4): Promise<number> {
  const collect = collector();
  await settled(collect, turns);
  const before = usedBytes();
  await work();
  await settled(collect, turns);
  return usedBytes() - before;
}

/** Options of {@link mustTakeNoMore}. */
export interface TakeNoMoreOptions {
  /** What must not make a difference. */
  readonly once: () => Promise<void>;
  /** From how many bytes on it makes one. */
  readonly enough: number;
  /** What it is, for people: `with 60 watches`. */
  readonly what: string;
}

/**
 * Fails when something keeps more memory than it did before `once`. What is read ahead, and what else the process does, shows in one round only; and what was
 * given back while the first was measured is no growth of those that follow.
 */
export async function mustTakeNoMore(work: () => Promise<void>, options: TakeNoMoreOptions): Promise<void> {
  const { once, enough, what } = options;
  await work();
  const plain = Math.max(0, await heapGrowth(work, 1));
  await once();
  let more = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4 && more >= enough; round += 1) more = (await heapGrowth(work, 1)) - plain;
  must(more < enough, `changes must take no more memory ${what}, and take ${more} bytes more`);
}

function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function settled(collect: () => void, turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  collect();
}

/** The collector of garbage, which Node.js hides unless it is asked for. */
function collector(): () => void {
  if (typeof globalThis.gc === "function") return globalThis.gc;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
