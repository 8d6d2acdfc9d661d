import { toVdcError } from "@vdc-os/core";
import type { QemuProcess } from "./qemu-process.ts";

const pressAgainMs = 5_000;

/** Presses the power button until the guest is off, the time is over, or something else ended it. */
export async function shutDownGuest(process: QemuProcess, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const giveUp = performance.now() + timeoutMs;
  while (performance.now() < giveUp) {
    // Again and again: a guest that has not finished booting does not hear it.
    if (!(await process.pressPowerButton())) return;
    const wait = Math.max(0, Math.min(pressAgainMs, giveUp - performance.now()));
    const ended = await raceEnd(process.ended, wait, signal);
    if (signal.aborted) throw toVdcError(signal.reason);
    if (ended) return;
  }
}

/** Whether it ended in this time. */
function raceEnd(ended: Promise<unknown>, waitMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (value: boolean): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve(value);
    };
    const onAbort = (): void => finish(false);
    const timer = setTimeout(() => finish(false), waitMs);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    void ended.then(() => finish(true));
  });
}
