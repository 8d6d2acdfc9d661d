import { QmpError } from "./qmp-error.ts";

export interface DeadlineOptions {
  /** Ends the wait with `QMP_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait with `QMP_TIMEOUT` after so many milliseconds. */
  readonly timeoutMs: number;
  /** Names the awaited thing in the error's text. */
  readonly what: string;
}

/** Calls `onEnd` once, when the time is over or the signal fires. The result disarms it; nothing is left behind then. */
export function armDeadline(options: DeadlineOptions, onEnd: (error: QmpError) => void): () => void {
  const { signal, timeoutMs, what } = options;
  const disarm = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  const onAbort = (): void => {
    disarm();
    onEnd(abortedError(what, signal));
  };
  const timer = setTimeout(() => {
    disarm();
    onEnd(new QmpError("QMP_TIMEOUT", `${what} did not finish in ${timeoutMs} ms`));
  }, timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  return disarm;
}

/** The error of a wait that its caller gave up. */
export function abortedError(what: string, signal: AbortSignal | undefined): QmpError {
  return new QmpError("QMP_ABORTED", `${what} was aborted by its caller`, { cause: signal?.reason });
}
