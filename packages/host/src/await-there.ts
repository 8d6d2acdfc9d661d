import { refuseWhenOver, VdcError } from "@vdc-os/core";
import type { ProcessStatus } from "@vdc-os/core/host/v1";
import { readTail } from "./read-log.ts";

/**
 * How a process stands to what was asked for: `there` when it answers, or has; `failed` when it has ended for good without; `released` when the runtime lets
 * go of it; and `pending` until one of these.
 */
export type Standing = "pending" | "there" | "failed" | "removed" | "released";

/** A process that somebody waits for. */
export interface AwaitedProcess {
  readonly standing: Standing;
  status(): ProcessStatus;
  /** Hears of each change, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** Options of {@link awaitThere}. */
export interface AwaitThereOptions {
  /** What it writes: the end of it is told when it does not get there. */
  readonly log: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** How much of a log an error holds. */
const tailBytes = 2_000;

/**
 * Waits until a process is there. Rejects with `FAILED_PRECONDITION` when it will not be, `UNAVAILABLE` when it is not in time, and `ABORTED` when it is
 * removed meanwhile.
 */
export async function awaitThere(process: AwaitedProcess, options: AwaitThereOptions): Promise<ProcessStatus> {
  const { log, timeoutMs, signal } = options;
  const deadline = performance.now() + timeoutMs;
  while (process.standing === "pending" && performance.now() < deadline) {
    refuseWhenOver({ signal });
    await changed(process, { untilMs: deadline, signal });
  }
  refuseWhenOver({ signal });
  const { standing } = process;
  const status = process.status();
  if (standing === "there") return status;
  const { processId, state, lastExit } = status;
  if (standing === "removed") throw new VdcError("ABORTED", `process '${processId}' was removed meanwhile`);
  const last = lastExit === undefined ? "" : `, last ${lastExit}`;
  const tail = await readTail(log, tailBytes);
  const text = `process '${processId}' is not ready (${state}${last})${tail === "" ? "" : `; it wrote: ${tail}`}`;
  throw standing === "failed"
    ? new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_PROCESS_NOT_STARTED" })
    : new VdcError("UNAVAILABLE", text, { reason: "VDC_PROCESS_NOT_READY" });
}

/** Resolves at the next change, when the time is over, or when the signal aborts. */
function changed(
  process: AwaitedProcess,
  { untilMs, signal }: { readonly untilMs: number; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      forget();
      resolve();
    };
    const timer = setTimeout(done, Math.max(1, untilMs - performance.now()));
    const forget = process.onChange(done);
    signal.addEventListener("abort", done, { once: true });
  });
}
