import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A way to a server that can be cut, and that remembers what went through it. */
export class CuttableProxy implements AsyncDisposable {
  readonly remote: string;
  /** What clients sent, and what the server sent, as text. */
  sent = "";
  received = "";
  /** Told the server's bytes before they are passed on; `false` keeps them back for ever. */
  pass: (bytes: string) => boolean = () => true;
  /** Whether new connections are let in. */
  open = true;
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string, target: string) {
    this.#folder = folder;
    this.remote = `unix:${join(folder, "p")}`;
    this.#server = createServer((client) => {
      if (!this.open) {
        client.destroy();
        return;
      }
      const upstream = connect(target);
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
      client.on("data", (bytes) => {
        this.sent += bytes;
        upstream.write(bytes);
      });
      upstream.on("data", (bytes) => {
        this.received += bytes;
        if (this.pass(String(bytes))) client.write(bytes);
      });
    });
  }

  static async start(target: string): Promise<CuttableProxy> {
    const folder = await mkdtemp(join(tmpdir(), "ovsdb-proxy-"));
    const proxy = new CuttableProxy(folder, target);
    await new Promise<void>((resolve) => proxy.#server.listen(join(folder, "p"), resolve));
    return proxy;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
