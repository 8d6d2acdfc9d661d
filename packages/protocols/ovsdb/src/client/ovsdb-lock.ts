import { OvsdbError } from "../ovsdb-error.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { Deadline, type WaitOptions } from "./deadline.ts";
import { Emitter } from "./emitter.ts";
import type { OvsdbSession } from "./ovsdb-session.ts";

type LockEvents = { readonly held: readonly []; readonly lost: readonly [] };

/**
 * A lock of the server (RFC 7047, section 4.1.8): one client holds it at a time. It is advisory: put `Transaction.assert` into every transaction that needs
 * it. A connection that breaks gives it up, and the next one asks for it again.
 */
export class OvsdbLock implements AsyncDisposable {
  readonly name: string;
  readonly #emitter = new Emitter<LockEvents>();
  readonly #onRelease: () => void;
  /** Taken away from its holder once; from then on the lock queues up like any other. */
  #steal: boolean;
  #session: OvsdbSession | undefined;
  #held = false;
  #ended: OvsdbError | undefined;

  constructor(name: string, options: { readonly steal: boolean; readonly onRelease: () => void }) {
    this.name = name;
    this.#steal = options.steal;
    this.#onRelease = options.onRelease;
  }

  /** Whether this client holds the lock, as far as it has heard. */
  get isHeld(): boolean {
    return this.#held;
  }

  /** Listens; returns how to stop. `lost` is told when the lock is stolen and when the connection breaks. */
  on(name: "held" | "lost", listener: () => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * Waits until the lock is held.
   *
   * @throws `OVSDB_TIMEOUT`, `OVSDB_ABORTED`; `OVSDB_CLOSED` when it was released or the client is closed
   */
  async acquired(options: WaitOptions = {}): Promise<void> {
    const stops: (() => void)[] = [];
    await new Deadline(options).wait<void>(`lock '${this.name}'`, (resolve, reject) => {
      const look = (): void => {
        if (this.#ended !== undefined) reject(this.#ended);
        else if (this.#held) resolve();
      };
      stops.push(this.#emitter.on("held", look), this.#emitter.on("lost", look));
      look();
      return () => {
        for (const stop of stops) stop();
      };
    });
  }

  /** Gives the lock up, or the place in its queue. */
  async release(): Promise<void> {
    if (this.#ended !== undefined) return;
    const session = this.#session;
    this.#onRelease();
    this.end(new OvsdbError("OVSDB_CLOSED", `Lock '${this.name}' was released.`, { retryable: false }));
    if (session === undefined || session.isClosed) return;
    await session.call("unlock", [this.name], { timeoutMs: 5_000 }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** For the client: asks a new session for the lock. */
  async start(session: OvsdbSession, timeoutMs: number): Promise<void> {
    this.#session = session;
    await session.call(this.#steal ? "steal" : "lock", [this.name], {
      timeoutMs,
      onResult: (result) => {
        this.#steal = false;
        if (isObject(result) && result.locked === true) this.told("locked");
      },
    });
  }

  /** For the client: a notification about this lock. */
  told(method: "locked" | "stolen"): void {
    const held = method === "locked";
    if (this.#held === held) return;
    this.#held = held;
    this.#emitter.emit(held ? "held" : "lost");
    // The server forgets a client whose lock was stolen: to queue up again, it unlocks first (RFC 7047, section 4.1.10).
    const session = this.#session;
    if (held || session === undefined || session.isClosed || this.#ended !== undefined) return;
    session.call("unlock", [this.name], { timeoutMs: 5_000 }).catch(() => {});
    this.start(session, 5_000).catch(() => {});
  }

  /** For the client: the connection is gone. */
  stop(): void {
    this.#session = undefined;
    if (!this.#held) return;
    this.#held = false;
    this.#emitter.emit("lost");
  }

  /** For the client: no session will come any more. */
  end(reason: OvsdbError): void {
    this.#ended ??= reason;
    this.#session = undefined;
    this.#held = false;
    this.#emitter.emit("lost");
  }
}
