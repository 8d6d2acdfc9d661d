import { isDeepStrictEqual } from "node:util";
import { isVdcError } from "@vdc-os/core";
import { mustEqual } from "./must.ts";

/** How long what was cancelled may take to let go of what it holds: so many looks, with a pause in milliseconds after each. A look takes longer where all does. */
const looks = 300;
const pauseMs = 10;

/** A part of a wait, in milliseconds: a machine that gives this process no turn for a second has taken one part of it, and not twenty. */
const partMs = 50;

/** Whether a call is over, done or failed, within this time of this process's own. */
export async function isOverWithin(call: Promise<unknown>, ms: number): Promise<boolean> {
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  const over = call.then(end, end);
  for (let left = ms; left > 0 && !isOver; left -= partMs) {
    let timer: NodeJS.Timeout | undefined;
    const part = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, partMs);
    });
    await Promise.race([over, part]);
    clearTimeout(timer);
  }
  return isOver;
}

/** Fails unless something is so soon. Who calls over a pipe is answered before the other side has let go. */
export async function mustEqualSoon(find: () => Promise<unknown>, expected: unknown, what: string): Promise<void> {
  for (let left = looks; left > 0; left -= 1) {
    if (isDeepStrictEqual(await find(), expected)) return;
    await pause();
  }
  mustEqual(await find(), expected, what);
}

/** Calls again while it is busy: what was cancelled may not have ended. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let left = looks; ; left -= 1) {
    try {
      return await call();
    } catch (error) {
      if (!isVdcError(error, "ABORTED") || left <= 0) throw error;
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
