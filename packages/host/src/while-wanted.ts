import { toVdcError } from "@vdc-os/core";

/** Waits for what goes on by itself, until the signal aborts. Its later failure is `onLate`'s. */
export async function whileWanted<R>(
  going: Promise<R>,
  signal: AbortSignal | undefined,
  onLate: (error: unknown) => void = () => {},
): Promise<R> {
  if (signal === undefined) return going;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    going.catch(onLate);
    reject(toVdcError(signal.reason));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([going, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
