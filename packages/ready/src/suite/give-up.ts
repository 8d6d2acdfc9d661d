import { type CallOptions, type ErrorCode, type OperationContext, VdcError } from "@vdc-os/core";
import { mustReject } from "./must.ts";

/** What is given up again and again. */
export interface GiveUpSweep {
  /** What is called, for messages: `a put`. */
  readonly what: string;
  /** What it may fail with, beside `CANCELLED`. Defaults to nothing. */
  readonly codes?: readonly ErrorCode[];
  /** Whether a call takes much of the machine, as a real VM's start does: every third moment is enough then. Defaults to `false`. */
  readonly isCostly?: boolean;
  /** The call. `step` counts from 0; what was made at one step may be left for the next, or not. */
  call(context: OperationContext, step: number): Promise<unknown>;
  /** Looks at what is there when the call is over: repeats it, and reads. Told whether the call succeeded all the same. */
  look(step: number, isDone: boolean): Promise<void>;
}

type Promises = { readonly promises: number };
type Turns = { readonly turns: number };
type Part = { readonly part: number };

/** When a call is given up: the promises it has waited for, the turns of the event loop, or the part of its time that have passed. */
type Moment = Promises | Turns | Part;

/** Earlier ones first: a call that is over at one of them is not given up at any that follows. */
const moments: readonly Moment[] = [
  ...[0, 1, 2, 3, 4, 6, 9, 13].map((promises) => ({ promises })),
  ...[1, 2, 4].map((turns) => ({ turns })),
  ...[0.15, 0.3, 0.5, 0.7, 0.9].map((part) => ({ part })),
];

/** Below this many milliseconds a part of a call's time is no more than a few turns of the event loop. */
const shortMs = 1;

/** After this many milliseconds no other moment is tried: a machine that is busy takes longer for each. */
const sweepMs = 15_000;

/**
 * Gives a call up at one moment after the other: before it begins, at each `await` of one that waits for nothing outside, then later
 * and later in its course, until it is over by then. It must end, done or with `CANCELLED`; what it left is looked at each time.
 *
 * The first call is not given up: it tells how long one takes.
 */
export async function giveUpAtEveryStep(
  test: { operation(options?: CallOptions): OperationContext },
  { what, codes = [], isCostly = false, call, look }: GiveUpSweep,
): Promise<void> {
  const startedAt = performance.now();
  await call(test.operation(), 0);
  const tookMs = performance.now() - startedAt;
  await look(0, true);

  const before = test.operation({ signal: AbortSignal.abort(givenUp()) });
  await look(1, await ended(call(before, 1), what, codes));

  const tried = isCostly ? moments.filter((_, index) => index % 3 === 0) : moments;
  for (const [index, moment] of tried.entries()) {
    if (("part" in moment && tookMs < shortMs) || performance.now() - startedAt > sweepMs) return;
    const step = index + 2;
    const controller = new AbortController();
    let isOver = false;
    const calling = call(test.operation({ signal: controller.signal }), step).finally(() => {
      isOver = true;
    });
    // It is waited for below; until then a rejection is nobody's.
    calling.catch(() => undefined);
    // In this function: another one to wait for would let promises pass by itself.
    if ("promises" in moment) for (let left = moment.promises; left > 0; left -= 1) await undefined;
    else await pass(moment, tookMs);
    const wasOver = isOver;
    controller.abort(givenUp());
    await look(step, await ended(calling, what, codes));
    if (wasOver) return;
  }
}

function givenUp(): VdcError {
  return new VdcError("CANCELLED", "given up");
}

async function ended(call: Promise<unknown>, what: string, codes: readonly ErrorCode[]): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    await mustReject(Promise.reject(error), ["CANCELLED", ...codes], `${what} that was given up`);
    return false;
  }
}

async function pass(moment: Turns | Part, tookMs: number): Promise<void> {
  if ("turns" in moment) {
    for (let left = moment.turns; left > 0; left -= 1) await turn();
  } else {
    for (const end = performance.now() + moment.part * tookMs; performance.now() < end; ) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
