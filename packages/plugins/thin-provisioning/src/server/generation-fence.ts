import type { NbdConnection, RequestInterceptor } from "@vdc-os/nbd";

/** Refuses a request on behalf of a revoked owner; its `code` is what crosses the wire. */
class FencedError extends Error {
  readonly code = "EPERM";
}

/**
 * Stands before one attachment's requests. Once it is closed, its owner reaches the volume no more: new connections and requests are
 * refused, and connections that are open are ended when what is in flight has been answered.
 */
export class GenerationFence implements RequestInterceptor {
  readonly generation: number;
  readonly #connections = new Set<NbdConnection>();
  #closed = false;

  constructor(generation: number) {
    this.generation = generation;
  }

  open(connection: NbdConnection): void {
    this.#assertOpen();
    this.#connections.add(connection);
  }

  before(): void {
    this.#assertOpen();
  }

  closed(connection: NbdConnection): void {
    this.#connections.delete(connection);
  }

  /** Refuses everything from now on. */
  close(): void {
    this.#closed = true;
  }

  /** Ends the connections. */
  disconnect(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #assertOpen(): void {
    if (this.#closed) throw new FencedError(`attachment generation ${this.generation} was revoked`);
  }
}
