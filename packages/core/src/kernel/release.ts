import type { Clock } from "../context/clock.ts";
import { attributeError, VdcError } from "../error/vdc-error.ts";

/** Something that a plugin acquired, and how it is given back. */
export interface Acquired {
  readonly label: string;
  readonly release: () => void | Promise<void>;
}

/** What went wrong with one label. */
export interface ReleaseError {
  readonly label: string;
  readonly error: VdcError;
}

/** How the release of a plugin's resources went. */
export interface ReleaseReport {
  readonly durationMs: number;
  /** Labels that took longer than `slowReleaseMs`, in the order of release. */
  readonly slow: readonly { readonly label: string; readonly durationMs: number }[];
  readonly errors: readonly ReleaseError[];
}

/** From which duration a label is named in reports, in milliseconds. */
export const slowReleaseMs = 50;

/** What is left to each label, at least, once the deadline of all has passed, in milliseconds. */
const lastChanceMs = 50;

const nothingReleased: ReleaseReport = Object.freeze({ durationMs: 0, slow: [], errors: [] });

/**
 * Releases in reverse order, one after the other. An error does not stop it; a label that hangs is left behind when the deadline
 * has passed, and the rest is still called: each gets a short last chance.
 */
export async function releaseAll(
  acquired: readonly Acquired[],
  options: { readonly plugin: string; readonly clock: Clock; readonly timeoutMs: number },
): Promise<ReleaseReport> {
  if (acquired.length === 0) return nothingReleased;
  const { plugin, clock } = options;
  const began = clock.monotonic();
  const deadline = began + options.timeoutMs;
  const slow: { label: string; durationMs: number }[] = [];
  const errors: ReleaseError[] = [];
  for (let index = acquired.length - 1; index >= 0; index--) {
    const { label, release } = acquired[index] as Acquired;
    const start = clock.monotonic();
    try {
      const result = release();
      if (typeof result?.then === "function") {
        await within(result, clock, Math.max(deadline - start, lastChanceMs), label);
      }
    } catch (error) {
      errors.push({ label, error: attributeError(error, plugin) });
    }
    const durationMs = clock.monotonic() - start;
    if (durationMs > slowReleaseMs) slow.push({ label, durationMs });
  }
  return { durationMs: clock.monotonic() - began, slow, errors };
}

function within(result: Promise<void>, clock: Clock, timeoutMs: number, label: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(timeoutMs, () =>
      reject(
        new VdcError("DEADLINE_EXCEEDED", `'${label}' was not released within ${Math.round(timeoutMs)} ms`, {
          reason: "VDC_RELEASE_TIMEOUT",
        }),
      ),
    );
    result.then(
      () => {
        cancel();
        resolve();
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
