/** What is ended in the middle of a call, again and again. */
export interface CrashSweep<P> {
  /** Who is called first. */
  readonly provider: P;
  /** Ends the provider as `kill -9` would, and opens what it left. */
  reopen(): Promise<P>;
  /** The call. `step` counts from 0; what was made at one step may be left for the next, or not. */
  call(provider: P, step: number): Promise<unknown>;
  /** Looks at what the next provider finds: repeats the call, and reads. Told whether the call had succeeded by then. */
  look(provider: P, step: number, isDone: boolean): Promise<void>;
}

/** When a provider is ended: when the call is done; when it has begun; and half-way, if it takes longer than that. */
const moments = ["done", "begun", "half-way"] as const;

/** Below this many milliseconds, a call that has begun is half-way. */
const shortMs = 5;

/** How long a call may go on after its provider has ended, in milliseconds. */
const settleMs = 1_000;

/** Ends a provider when a call is done, and in the middle of it. One that was done must have succeeded. */
export async function crashInCall<P>({ provider, reopen, call, look }: CrashSweep<P>): Promise<void> {
  let current = provider;
  let tookMs = 0;
  for (const [step, moment] of moments.entries()) {
    if (moment === "half-way" && tookMs < shortMs) return;
    const startedAt = performance.now();
    let isDone = false;
    const calling = call(current, step).then(() => {
      isDone = true;
    });
    if (moment === "done") await calling;
    else if (moment === "half-way") await pass(tookMs / 2, calling);
    tookMs ||= performance.now() - startedAt;
    let wasDone = false;
    current = await cutOff(calling, () => {
      // What is answered later is answered by nobody: a provider that could not really be killed may still do it, unseen by the next one.
      wasDone = isDone;
      return reopen();
    });
    await look(current, step, wasDone);
  }
}

/**
 * Ends a provider a turn of the event loop after a call was made, at the earliest, and returns the next one. What the call says is lost; it is waited for, since
 * a provider that could not really be killed may be at it still.
 */
export async function cutOff<P>(call: Promise<unknown>, reopen: () => Promise<P>): Promise<P> {
  const lost = call.catch(() => undefined);
  await turn();
  const next = await reopen();
  await pass(settleMs, lost);
  return next;
}

/** Lets time pass, until a call is over. */
async function pass(ms: number, call: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  call.then(over, over);
  for (const end = performance.now() + ms; !isOver && performance.now() < end; ) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
