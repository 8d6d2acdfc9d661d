import { OpenFlowError } from "../openflow-error.ts";

/** How long a call may take. */
export interface CallOptions {
  /** Ends the wait with `OPENFLOW_ABORTED`. */
  readonly signal?: AbortSignal;
  /** Ends the wait with `OPENFLOW_TIMEOUT`, in milliseconds. Defaults to the connection's, which is `5_000` unless said otherwise. */
  readonly timeoutMs?: number;
}

/** Options of {@link within}. */
export interface WithinOptions {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** Who is waited for, and for what, in the error's text: `'unix:/run/b0.mgmt' gave no answer`. */
  readonly inVain: string;
}

/**
 * What a promise resolves with, if it does so in time. Nothing is left behind when it has not.
 *
 * @throws `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`
 */
export async function within<T>(promise: Promise<T>, { signal, timeoutMs, inVain }: WithinOptions): Promise<T> {
  const over = Promise.withResolvers<never>();
  const onAbort = (): void => {
    over.reject(
      new OpenFlowError("OPENFLOW_ABORTED", `${inVain} before the caller gave up`, { cause: signal?.reason }),
    );
  };
  const timer = setTimeout(() => {
    over.reject(new OpenFlowError("OPENFLOW_TIMEOUT", `${inVain} within ${Math.round(timeoutMs)} ms`));
  }, timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    return await Promise.race([promise, over.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
