import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Machine, MachineRequest } from "./puddle-client.ts";

/** A cloud, for this example: one room of machines behind an HTTP API of its own. Yours is somewhere else. */
export class PuddleCloud implements AsyncDisposable {
  readonly machines: Map<string, Machine> = new Map();
  /** The next machine is made, and the answer does not arrive. */
  loseNextAnswer = false;
  readonly #token: string;
  readonly #server = createServer((request, response) => {
    this.#answer(request).then(
      ({ status, body }) => {
        if (status === 0) response.destroy();
        else response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      },
      (error: unknown) => response.writeHead(500).end(JSON.stringify({ error: String(error) })),
    );
  });
  #made = 0;

  private constructor(token: string) {
    this.#token = token;
  }

  /** Opens a cloud on this machine, to whoever has the token. */
  static async open(token: string): Promise<PuddleCloud> {
    const cloud = new PuddleCloud(token);
    await new Promise<void>((resolve) => cloud.#server.listen(0, "127.0.0.1", resolve));
    return cloud;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Makes a machine, as whoever has an account does. */
  make(wanted: MachineRequest): Machine {
    this.#made += 1;
    const machine: Machine = { ...wanted, id: `m-${this.#made}`, phase: "starting", born: Date.now() };
    this.machines.set(machine.id, machine);
    return machine;
  }

  async #answer(request: IncomingMessage): Promise<{ readonly status: number; readonly body?: unknown }> {
    const { pathname, searchParams } = new URL(request.url ?? "/", this.url);
    const [, kind = "", id] = pathname.split("/");
    if (request.headers.authorization !== `Bearer ${this.#token}`) return { status: 401, body: { error: "who?" } };
    if (kind === "me") return { status: 200, body: { account: "somebody" } };
    if (kind !== "machines") return { status: 404, body: { error: "no such thing" } };
    if (request.method === "POST") return this.#make(JSON.parse(await textOf(request)) as MachineRequest);
    const found = [...this.machines.values()]
      .filter((machine) => id === undefined || machine.id === id)
      .filter((machine) => [...searchParams].every(([key, value]) => machine.tags[key] === value));
    if (request.method === "DELETE") for (const machine of found) this.machines.set(machine.id, ending(machine));
    else this.#letTimePass(found);
    return { status: 200, body: found };
  }

  /** A client's token makes one machine, also when two requests come at once. */
  #make(wanted: MachineRequest): { readonly status: number; readonly body?: unknown } {
    if (wanted.image !== "debian") return { status: 404, body: { error: `no image '${wanted.image}'` } };
    if (!["small", "large"].includes(wanted.size)) return { status: 404, body: { error: `no size '${wanted.size}'` } };
    const present = [...this.machines.values()].find(({ clientToken }) => clientToken === wanted.clientToken);
    const machine = present ?? this.make(wanted);
    const lost = this.loseNextAnswer;
    this.loseNextAnswer = false;
    return lost ? { status: 0 } : { status: 200, body: machine };
  }

  /** Who has been seen starting runs at the next look, and who has been seen ending is gone. */
  #letTimePass(seen: readonly Machine[]): void {
    for (const machine of seen) {
      if (machine.phase === "starting") this.machines.set(machine.id, { ...machine, phase: "on" });
      if (machine.phase === "ending") this.machines.delete(machine.id);
    }
  }
}

function ending(machine: Machine): Machine {
  return { ...machine, phase: "ending" };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
