import { isCancellable, type OperationContext, toVdcError, type VdcError, type WatchItem } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";

type Change = Extract<WatchItem<Vm>, { readonly object: Vm }>;

/** The watches of a host's VMs. */
export class VmWatchHub {
  readonly #watches = new Set<VmWatch>();

  /** Begins a watch with all VMs as `added`. */
  open(present: readonly Vm[], context: OperationContext): AsyncIterableIterator<WatchItem<Vm>> {
    const watch = new VmWatch(present, context, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  tell(change: Change): void {
    for (const watch of this.#watches) watch.tell(change);
  }

  /** Ends every watch with an error. */
  close(error: VdcError): void {
    for (const watch of [...this.#watches]) watch.fail(error);
  }
}

/**
 * One watch. A slow reader gets only the latest change of each VM, so it holds no more than one item for each. A hand-written iterator
 * rather than a generator, so that `return` works while a `next` waits.
 */
class VmWatch implements AsyncIterableIterator<WatchItem<Vm>> {
  readonly #pending: Map<string, Change>;
  readonly #onEnd: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.fail(toVdcError(this.#signal?.reason));
  #ended = false;
  #error: VdcError | undefined;
  #wake: () => void = () => {};
  #last: Promise<unknown> = Promise.resolve();

  constructor(present: readonly Vm[], context: OperationContext, onEnd: () => void) {
    this.#pending = new Map(present.map((object) => [object.vmId, { type: "added", object }]));
    this.#onEnd = onEnd;
    if (!isCancellable(context)) return;
    this.#signal = context.signal;
    if (this.#signal.aborted) this.#onAbort();
    else this.#signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchItem<Vm>>> {
    const result = this.#last.then(() => this.#pull());
    this.#last = result.catch(() => undefined);
    return result;
  }

  return(): Promise<IteratorResult<WatchItem<Vm>>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  tell(change: Change): void {
    const { vmId } = change.object;
    const before = this.#pending.get(vmId);
    const type = before?.type === "added" && change.type === "modified" ? "added" : change.type;
    // Put last, so that what was waiting longer comes first.
    this.#pending.delete(vmId);
    this.#pending.set(vmId, { type, object: change.object });
    this.#wake();
  }

  fail(error: VdcError): void {
    if (this.#ended) return;
    this.#error = error;
    this.#end();
  }

  async #pull(): Promise<IteratorResult<WatchItem<Vm>>> {
    for (;;) {
      if (this.#ended) {
        const error = this.#error;
        this.#error = undefined;
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      const [next] = this.#pending.values();
      if (next !== undefined) {
        this.#pending.delete(next.object.vmId);
        return { done: false, value: next };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#onEnd();
    this.#wake();
  }
}
