import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RandomDatabase } from "./random-database.ts";

export interface FakeRequest {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly id: unknown;
  readonly socket: Socket;
}

/** What the server answers to a request: a result, `undefined` for nothing at all, or a thrown object for an error. */
export type FakeHandler = (request: FakeRequest) => unknown;

/** A server that does to its clients what no real one would. It knows how a connection is set up; the rest is up to the test. */
export class FakeServer implements AsyncDisposable {
  readonly remote: string;
  readonly requests: FakeRequest[] = [];
  handler: FakeHandler = () => ({});
  /** What it says its schema is. */
  schema: object = { name: RandomDatabase.name, version: RandomDatabase.version, tables: RandomDatabase.tables };
  /** How many connections were accepted. */
  connections = 0;
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.remote = `unix:${join(folder, "s")}`;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(): Promise<FakeServer> {
    const server = new FakeServer(await mkdtemp(join(tmpdir(), "ovsdb-fake-")));
    await new Promise<void>((resolve) => server.#server.listen(join(server.#folder, "s"), resolve));
    return server;
  }

  /** Sends a notification to every client. */
  notify(method: string, ...params: readonly unknown[]): void {
    this.write(JSON.stringify({ method, params, id: null }));
  }

  write(bytes: string | Buffer): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
      // A client's messages are small here: the first closing brace that makes JSON ends one.
      for (let end = text.indexOf("}"); end >= 0; end = text.indexOf("}", end + 1)) {
        let message: { readonly method?: string; readonly params: readonly unknown[]; readonly id: unknown };
        try {
          message = JSON.parse(text.slice(0, end + 1));
        } catch {
          continue;
        }
        text = text.slice(end + 1);
        end = -1;
        this.#receive({ method: message.method ?? "", params: message.params ?? [message], id: message.id, socket });
      }
    });
  }

  #receive(request: FakeRequest): void {
    this.requests.push(request);
    const { id, method, socket } = request;
    if (method === "" || id === null) return;
    let reply: object;
    try {
      const result = this.#answer(request);
      if (result === undefined) return;
      reply = { id, result, error: null };
    } catch (error) {
      reply = { id, result: null, error };
    }
    if (!socket.destroyed) socket.write(JSON.stringify(reply));
  }

  #answer(request: FakeRequest): unknown {
    if (request.method === "get_schema") return this.schema;
    if (request.method === "set_db_change_aware") return {};
    if (request.method === "monitor" && request.params[0] === "_Server") throw { error: "unknown database" };
    return this.handler(request);
  }
}
