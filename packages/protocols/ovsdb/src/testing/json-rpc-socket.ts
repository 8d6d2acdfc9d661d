import { createConnection, type Socket } from "node:net";
import { FixtureError } from "./fixture-error.ts";

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly what: string;
}

/**
 * The bare wire that OVSDB servers and the daemons' control sockets share: JSON-RPC 1.0 values one after another on a Unix socket. For
 * fixtures and for judging the client, which is why it is not the client. Requests may be sent without waiting for earlier answers; a
 * daemon answers them in order.
 */
export class JsonRpcSocket implements Disposable {
  readonly path: string;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #pending: Buffer[] = [];
  #depth = 0;
  #inString = false;
  #escaped = false;

  private constructor(path: string, socket: Socket) {
    this.path = path;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#split(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#fail());
  }

  /** Rejects with the system's error when nobody listens. */
  static connect(path: string): Promise<JsonRpcSocket> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new JsonRpcSocket(path, socket));
      });
    });
  }

  /** Rejects with `FAILED` when the answer is an error or the connection ends first. */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new FixtureError("FAILED", `'${this.path}' is closed: '${method}' was not sent`));
        return;
      }
      this.#waiting.set(id, { resolve, reject, what: method });
      this.#socket.write(JSON.stringify({ id, method, params }));
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
    this.#fail();
  }

  /** There is no delimiter: a value ends where its outermost brace does. */
  #split(chunk: Buffer): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === 0x5c) this.#escaped = true;
        else if (byte === 0x22) this.#inString = false;
      } else if (byte === 0x22) this.#inString = true;
      else if (byte === 0x7b) this.#depth += 1;
      else if (byte === 0x7d) {
        this.#depth -= 1;
        if (this.#depth > 0) continue;
        this.#pending.push(chunk.subarray(start, at + 1));
        start = at + 1;
        const text = Buffer.concat(this.#pending).toString();
        this.#pending = [];
        this.#receive(JSON.parse(text) as Record<string, unknown>);
      }
    }
    if (start < chunk.length) this.#pending.push(chunk.subarray(start));
  }

  #receive({ id, method, params, result, error }: Record<string, unknown>): void {
    if (method === "echo") {
      this.#socket.write(JSON.stringify({ id, result: params, error: null }));
      return;
    }
    const waiting = typeof id === "number" ? this.#waiting.get(id) : undefined;
    if (waiting === undefined) return;
    this.#waiting.delete(id as number);
    if (error === null || error === undefined) waiting.resolve(result);
    else waiting.reject(new FixtureError("FAILED", `'${waiting.what}': ${describe(error)}`));
  }

  #fail(): void {
    for (const { reject, what } of this.#waiting.values()) {
      reject(new FixtureError("FAILED", `'${this.path}' was closed before '${what}' was answered`));
    }
    this.#waiting.clear();
  }
}

function describe(error: unknown): string {
  return typeof error === "string" ? error.trim() : JSON.stringify(error);
}
