import { abortedError, armDeadline } from "./deadline.ts";
import type { QmpError } from "./qmp-error.ts";
import type { QmpEvent, QmpEventName } from "./qmp-events.ts";

export interface QmpWaitOptions<N extends string> {
  /** The first event for which this is true ends the wait. Defaults to any. */
  readonly match?: (event: QmpEvent<N>) => boolean;
  readonly signal?: AbortSignal;
  /** In milliseconds. Defaults to 30_000. */
  readonly timeoutMs?: number;
}

/** Who listens to the events of a connection, and who waits for one of them. */
export class EventListeners {
  readonly #onListenerError: (error: unknown, event: QmpEvent) => void;
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #waits = new Set<(error: QmpError) => void>();

  /** `onListenerError` gets what a listener threw: one listener's fault must not stop the others. */
  constructor(onListenerError: (error: unknown, event: QmpEvent) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Calls `listener` for every event, in the order of arrival. The result ends the subscription. */
  add(listener: (event: QmpEvent) => void): () => void {
    // A wrapper, so that the same function subscribed twice is called twice and each end ends one.
    const entry = (event: QmpEvent): void => listener(event);
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Calls `listener` for every event of a name. */
  addFor<N extends QmpEventName>(name: N, listener: (event: QmpEvent<N>) => void): () => void {
    return this.add((event) => {
      if (event.event === name) listener(event as QmpEvent<N>);
    });
  }

  /** Resolves with the next event of a name that matches. Rejects with `QMP_TIMEOUT`, `QMP_ABORTED`, or with what ends all waits. */
  next<N extends QmpEventName>(name: N, options: QmpWaitOptions<N> & { readonly what: string }): Promise<QmpEvent<N>> {
    const { what, signal, match, timeoutMs = 30_000 } = options;
    if (signal?.aborted) return Promise.reject(abortedError(what, signal));
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        disarm();
        off();
        this.#waits.delete(fail);
      };
      const fail = (error: QmpError): void => {
        finish();
        reject(error);
      };
      const disarm = armDeadline({ signal, timeoutMs, what }, fail);
      this.#waits.add(fail);
      const off = this.addFor(name, (event) => {
        try {
          if (match && !match(event)) return;
        } catch (error) {
          finish();
          reject(error);
          return;
        }
        finish();
        resolve(event);
      });
    });
  }

  tell(event: QmpEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#onListenerError(error, event);
      }
    }
  }

  /** Ends every subscription and every wait. */
  end(error: QmpError): void {
    this.#listeners.clear();
    for (const fail of [...this.#waits]) fail(error);
  }
}
