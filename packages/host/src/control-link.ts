import { connectDataPlane, type DataPlaneConnection } from "@vdc-os/core/remote";
import type { HostDirectory } from "./host-directory.ts";

/** The runtime's link to a process's control socket: connected when it is needed first, and again after it was lost. */
export class ControlLink {
  readonly #directory: HostDirectory;
  readonly #processId: string;
  #connection: Promise<DataPlaneConnection> | undefined;
  #awaiting: AbortController | undefined;

  constructor(directory: HostDirectory, processId: string) {
    this.#directory = directory;
    this.#processId = processId;
  }

  /** The socket's path. Throws `INVALID_ARGUMENT` when it is too long, which matters only to a process that has a control protocol. */
  get socket(): string {
    return this.#directory.controlSocket(this.#processId);
  }

  /** The connection. Rejects when nobody listens. */
  connect(): Promise<DataPlaneConnection> {
    if (this.#connection !== undefined) return this.#connection;
    const connecting = connectDataPlane(this.socket);
    this.#connection = connecting;
    const forget = (): void => {
      if (this.#connection === connecting) this.#connection = undefined;
    };
    connecting.then((connection) => connection.closed.then(forget), forget);
    return connecting;
  }

  /** Closes the connection, if there is one, and gives up waiting for an answer. */
  drop(): void {
    this.giveUp();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.then((open) => open.close()).catch(() => {});
  }

  /** Gives up waiting for an answer. */
  giveUp(): void {
    this.#awaiting?.abort();
  }

  /** Waits until the process answers, which a start takes some time for: `given-up` once nobody waits, or another one does. */
  async awaitAnswer(timeoutMs: number): Promise<"ready" | "late" | "given-up"> {
    this.giveUp();
    const awaiting = new AbortController();
    this.#awaiting = awaiting;
    const { signal } = awaiting;
    const deadline = performance.now() + timeoutMs;
    for (let pauseMs = 10; ; pauseMs = Math.min(100, pauseMs * 1.5)) {
      try {
        const control = await this.connect();
        await control.ping({ timeoutMs: Math.max(1, deadline - performance.now()) });
        return signal.aborted ? "given-up" : "ready";
      } catch {
        if (signal.aborted) return "given-up";
        if (performance.now() > deadline) return "late";
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        if (signal.aborted) return "given-up";
      }
    }
  }
}
