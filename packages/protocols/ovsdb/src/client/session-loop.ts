import { OvsdbError } from "../ovsdb-error.ts";
import type { Remote } from "../wire/remote.ts";
import { BackOff, type BackOffOptions } from "./back-off.ts";
import { type OpenSessionOptions, OvsdbSession } from "./ovsdb-session.ts";

export interface SessionLoopOptions {
  readonly remotes: readonly Remote[];
  readonly backOff: BackOffOptions;
  readonly random: () => number;
  readonly open: Omit<OpenSessionOptions, "signal">;
  /** Makes a session ready for use; what it throws ends the session. */
  readonly onSession: (session: OvsdbSession) => Promise<void>;
  /** The session is ready. */
  readonly onReady: (session: OvsdbSession) => void;
  /** A session ended, or an attempt to get one failed. */
  readonly onFailure: (reason: OvsdbError) => void;
}

/** A session that lasts as long as this counts as good: the next one is sought without a pause. In ms. */
const GOOD_SESSION_MS = 1_000;

/**
 * Keeps one session up: goes through the remotes in turn, begins with the next one when a session ends, and pauses only when a whole round brought nothing.
 */
export class SessionLoop {
  readonly #options: SessionLoopOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #session: OvsdbSession | undefined;

  constructor(options: SessionLoopOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#session?.close();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { remotes, backOff: limits, random } = this.#options;
    const backOff = new BackOff(limits, random);
    let failures = 0;
    for (let turn = 0; !this.#stop.signal.aborted; turn += 1) {
      const lastedMs = await this.#attempt(remotes[turn % remotes.length]!);
      if (lastedMs >= GOOD_SESSION_MS) {
        failures = 0;
        backOff.reset();
        continue;
      }
      failures += 1;
      if (failures % remotes.length === 0) await this.#pause(backOff.next());
    }
  }

  /** Returns how long a session was of use, in ms. */
  async #attempt(remote: Remote): Promise<number> {
    let readyAt = Number.POSITIVE_INFINITY;
    let session: OvsdbSession | undefined;
    try {
      session = await OvsdbSession.open(remote, { ...this.#options.open, signal: this.#stop.signal });
      this.#session = session;
      if (this.#stop.signal.aborted) session.close();
      await this.#options.onSession(session);
      if (!session.isClosed) {
        readyAt = performance.now();
        this.#options.onReady(session);
      }
      this.#options.onFailure(await session.closed);
    } catch (error) {
      const reason =
        error instanceof OvsdbError ? error : new OvsdbError("OVSDB_PROTOCOL", "A session failed.", { cause: error });
      session?.close(reason);
      this.#options.onFailure(reason);
    }
    this.#session = undefined;
    return Math.max(0, performance.now() - readyAt);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
