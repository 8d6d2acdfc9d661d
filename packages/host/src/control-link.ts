import { connectDataPlane, type DataPlaneConnection } from "@vdc-os/core/remote";
import type { HostDirectory } from "./host-directory.ts";

/** The runtime's link to a process's control socket: connected when it is needed first, and again after it was lost. */
export class ControlLink {
  readonly #directory: HostDirectory;
  readonly #processId: string;
  #connection: Promise<DataPlaneConnection> | undefined;

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

  /** Closes the connection, if there is one. */
  drop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.then((open) => open.close()).catch(() => {});
  }

  /** Whether the process answers within this time, which a start takes some of. False after an abort as well. */
  async awaitAnswer(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    let pauseMs = 10;
    while (!signal.aborted) {
      try {
        const control = await this.connect();
        await control.ping({ timeoutMs: Math.max(1, deadline - performance.now()) });
        return true;
      } catch {
        if (signal.aborted || performance.now() > deadline) return false;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        pauseMs = Math.min(100, pauseMs * 1.5);
      }
    }
    return false;
  }
}
