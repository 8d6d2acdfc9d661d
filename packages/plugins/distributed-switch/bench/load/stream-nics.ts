import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Nic {
  readonly server: Server;
  readonly connected: Promise<Socket>;
}

/** The other end of a data plane's ports: many NICs in this process, each listening on a socket of its own as QEMU does. */
export class StreamNics implements AsyncDisposable {
  readonly #folder: string;
  readonly #nics: Nic[] = [];
  #octets = 0;
  #wanted = 0;
  #reached: (() => void) | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async listen(count: number): Promise<StreamNics> {
    const nics = new StreamNics(mkdtempSync(join(tmpdir(), "vdc-bench-nics-")));
    for (let index = 0; index < count; index++) {
      const server = createServer();
      const connected = once(server, "connection").then(([socket]: Socket[]) => {
        (socket as Socket).on("data", (chunk) => nics.#take(chunk.length));
        (socket as Socket).on("error", () => undefined);
        return socket as Socket;
      });
      server.listen(nics.path(index));
      await once(server, "listening");
      nics.#nics.push({ server, connected });
    }
    return nics;
  }

  path(index: number): string {
    return join(this.#folder, `${index}.sock`);
  }

  /** What the `index`-th NIC sends into; resolves when the data plane has dialled it. */
  socket(index: number): Promise<Socket> {
    return (this.#nics[index] as Nic).connected;
  }

  /** Resolves when all NICs together have received `octets` more, length prefixes included; rejects after ten seconds. */
  receive(octets: number): Promise<void> {
    this.#octets = 0;
    this.#wanted = octets;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#octets} of ${octets} octets arrived`)), 10_000);
      this.#reached = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #take(octets: number): void {
    this.#octets += octets;
    if (this.#octets < this.#wanted) return;
    this.#reached?.();
    this.#reached = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, connected } of this.#nics) {
      server.close();
      connected.then((socket) => socket.destroy());
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
