import { isDeepStrictEqual } from "node:util";
import { isVdcError } from "@vdc-os/core";
import { mustEqual } from "./must.ts";

/** How long what was cancelled may take to let go of what it holds, in milliseconds. */
const soonMs = 3_000;
const pauseMs = 10;

/** Fails unless something is so soon. Who calls over a pipe is answered before the other side has let go. */
export async function mustEqualSoon(find: () => Promise<unknown>, expected: unknown, what: string): Promise<void> {
  for (const giveUp = performance.now() + soonMs; performance.now() < giveUp; ) {
    if (isDeepStrictEqual(await find(), expected)) return;
    await pause();
  }
  mustEqual(await find(), expected, what);
}

/** Calls again while it is busy: what was cancelled may not have ended. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (const giveUp = performance.now() + soonMs; ; ) {
    try {
      return await call();
    } catch (error) {
      if (!isVdcError(error, "ABORTED") || performance.now() > giveUp) throw error;
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
