import { cancelSourcesOf, deadlineError } from "../context/create-operation-context.ts";
import type { OperationContext } from "../context/operation-context.ts";
import { toVdcError, VdcError } from "../error/vdc-error.ts";
import type { Provider } from "./provider.ts";

/** Tells once when a call's caller, its deadline, or its provider's end says that it is over. */
export class CallEnding {
  over = false;
  readonly #provider: Provider;
  readonly #end: (error: VdcError) => void;
  readonly #sources: readonly AbortSignal[];
  #cancelTimer: (() => void) | undefined;

  constructor(provider: Provider, context: OperationContext, end: (error: VdcError) => void) {
    this.#provider = provider;
    this.#end = end;
    this.#sources = cancelSourcesOf(context);
    const aborted = this.#sources.find((source) => source.aborted);
    if (aborted !== undefined) this.#finish(cancelledError(aborted.reason));
    else this.#begin(context);
  }

  #begin(context: OperationContext): void {
    const provider = this.#provider;
    if (context.deadline !== undefined) {
      const remaining = context.deadline - provider.services.clock.monotonic();
      const expire = (): void => this.#finish(deadlineError(`a call of ${provider.describe()}`));
      if (remaining <= 0) {
        expire();
        return;
      }
      this.#cancelTimer = provider.services.clock.schedule(remaining, expire);
    }
    for (const source of this.#sources) source.addEventListener("abort", this.#onAbort, { once: true });
    provider.guards.add(this.#finish);
  }

  release(): void {
    this.#cancelTimer?.();
    this.#provider.guards.delete(this.#finish);
    for (const source of this.#sources) source.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (event: Event): void => this.#finish(cancelledError((event.target as AbortSignal).reason));

  readonly #finish = (error: VdcError): void => {
    if (this.over) return;
    this.over = true;
    this.release();
    this.#end(error);
  };
}

/** What an aborted signal says: its own reason when that is an error with a code, else `CANCELLED`. */
export function cancelledError(reason: unknown): VdcError {
  const error = toVdcError(reason);
  return error.code === "UNKNOWN" ? new VdcError("CANCELLED", "the call was cancelled", { cause: reason }) : error;
}
