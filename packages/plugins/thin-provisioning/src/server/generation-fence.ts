import type { NbdConnection, NbdRequest, RequestInterceptor } from "@vdc-os/nbd";
import { Throttle } from "./throttle.ts";

/** Refuses a request on behalf of a revoked owner; its `code` is what crosses the wire. */
export class FencedError extends Error {
  readonly code = "EPERM";
}

/**
 * Stands before one attachment's requests. Once it is closed, its owner reaches the volume no more: new connections and requests are
 * refused, and connections that are open are ended when what is in flight has been answered. Until then it holds the owner to its limits.
 */
export class GenerationFence implements RequestInterceptor {
  readonly generation: number;
  readonly throttle: Throttle = new Throttle();
  readonly #connections = new Set<NbdConnection>();
  #closed = false;

  constructor(generation: number) {
    this.generation = generation;
  }

  open(connection: NbdConnection): void {
    this.#assertOpen();
    this.#connections.add(connection);
  }

  before({ command, length }: NbdRequest): Promise<void> | undefined {
    this.#assertOpen();
    if (command === "flush" || command === "blockStatus" || command === "cache") return undefined;
    return this.throttle.admit(command === "read" || command === "write" ? length : 0);
  }

  closed(connection: NbdConnection): void {
    this.#connections.delete(connection);
  }

  /** Refuses everything from now on. */
  close(): void {
    this.#closed = true;
    this.throttle.stop(this.#error());
  }

  /** Ends the connections. */
  disconnect(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #assertOpen(): void {
    if (this.#closed) throw this.#error();
  }

  #error(): FencedError {
    return new FencedError(`attachment generation ${this.generation} was revoked`);
  }
}
