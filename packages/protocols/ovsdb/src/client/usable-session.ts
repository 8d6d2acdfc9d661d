import { OvsdbError } from "../ovsdb-error.ts";
import type { Deadline } from "./deadline.ts";
import { Emitter } from "./emitter.ts";
import type { OvsdbSession } from "./ovsdb-session.ts";

export type OvsdbClientEvents = {
  /** A server is connected and every monitor is up to date. */
  readonly connected: readonly [remote: string];
  /** The connection broke, or an attempt to make one failed. The next attempt follows by itself. */
  readonly disconnected: readonly [reason: OvsdbError];
};

/** The session that calls go out by: told of by those who make and lose it, and waited for by calls. */
export class UsableSession {
  readonly #emitter = new Emitter<OvsdbClientEvents & { readonly closed: readonly [] }>();
  #session: OvsdbSession | undefined;
  #isReady = false;
  #closed: OvsdbError | undefined;
  #lastFailure: OvsdbError | undefined;

  /** The session, when calls can go out by it. */
  get current(): OvsdbSession | undefined {
    return this.#isReady ? this.#session : undefined;
  }

  /** The session, also while it is being prepared. */
  get latest(): OvsdbSession | undefined {
    return this.#session;
  }

  /** Why there will be none any more; undefined while there may be. */
  get closed(): OvsdbError | undefined {
    return this.#closed;
  }

  /** Listens; returns how to stop. */
  on<N extends keyof OvsdbClientEvents>(name: N, listener: (...args: OvsdbClientEvents[N]) => void): () => void {
    return this.#emitter.on(name, listener as (...args: readonly unknown[]) => void);
  }

  /** There is a connection, by which nothing goes out yet. */
  opened(session: OvsdbSession): void {
    this.#session = session;
  }

  /** Calls can go out. */
  ready(remote: string): void {
    this.#isReady = true;
    this.#emitter.emit("connected", remote);
  }

  lost(reason: OvsdbError): void {
    this.#session = undefined;
    this.#isReady = false;
    this.#lastFailure = reason;
  }

  /** Tells listeners why it was lost: once all that depends on it knows. */
  tellLost(reason: OvsdbError): void {
    if (!this.#closed) this.#emitter.emit("disconnected", reason);
  }

  /** From now on every wait fails with this. */
  close(error: OvsdbError): void {
    this.#closed ??= error;
  }

  /** Ends the waits that there are. */
  tellClosed(): void {
    this.#emitter.emit("closed");
  }

  /**
   * The session, when there is one that can be used.
   *
   * @throws `OVSDB_CONNECT_FAILED`, `OVSDB_INVALID_ARGUMENT`, `OVSDB_ABORTED`, `OVSDB_CLOSED`
   */
  async wait(deadline: Deadline): Promise<OvsdbSession> {
    const usable = (): OvsdbSession | undefined => (this.current?.isClosed === false ? this.current : undefined);
    const session = usable();
    if (session !== undefined) return session;
    if (this.#closed !== undefined) throw this.#closed;
    try {
      return await deadline.wait<OvsdbSession>("a connection", (resolve, reject) => {
        const look = (): void => {
          const found = usable();
          if (found !== undefined) resolve(found);
        };
        const stops = [
          this.#emitter.on("connected", look),
          this.#emitter.on("closed", () => reject(this.#closed)),
          // No later attempt makes a key of what is none.
          this.#emitter.on("disconnected", (reason) => reason.code === "OVSDB_INVALID_ARGUMENT" && reject(reason)),
        ];
        return () => {
          for (const stop of stops) stop();
        };
      });
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.code !== "OVSDB_TIMEOUT") throw error;
      const last = this.#lastFailure;
      throw new OvsdbError("OVSDB_CONNECT_FAILED", `No server could be used in time. ${last?.message ?? ""}`.trim(), {
        cause: last,
        ...(last === undefined ? {} : { details: last.details }),
      });
    }
  }
}
