import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { NetworkNamespace } from "./network-namespace.ts";

export interface TcpExchangeOptions {
  readonly server: NetworkNamespace;
  readonly client: NetworkNamespace;
  /** The server's. */
  readonly address: string;
  readonly bytes: number;
}

/** What each side says of what it received. */
export interface TcpExchange {
  readonly sent: string;
  readonly received: string;
  readonly milliseconds: number;
}

const COMMON = `
  import { createHash } from "node:crypto";
  import { connect, createServer } from "node:net";
  const data = Buffer.alloc(Number(process.argv[1]));
  for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
  const all = async (socket) => { const parts = []; for await (const part of socket) parts.push(part); return Buffer.concat(parts); };
`;
const SERVER = `${COMMON}
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const received = await all(socket);
    socket.end(Buffer.concat([Buffer.from(digest(received)), data]));
    socket.on("close", () => process.exit());
  });
  server.listen(7000, "::", () => console.log("ready"));
`;
const CLIENT = `${COMMON}
  const begin = performance.now();
  const socket = connect({ host: process.argv[2], port: 7000, allowHalfOpen: true });
  socket.end(data);
  const answer = await all(socket);
  console.log(JSON.stringify({
    sent: answer.subarray(0, 64).toString() === digest(data) ? "intact" : "damaged",
    received: answer.subarray(64).equals(data) ? "intact" : "damaged",
    milliseconds: Math.round(performance.now() - begin),
  }));
`;

/** Sends so many octets from client to server and as many back over one TCP connection, each side a process in its namespace. */
export async function tcpExchange({ server, client, address, bytes }: TcpExchangeOptions): Promise<TcpExchange> {
  const listening = run(server, SERVER, [String(bytes)]);
  try {
    await listening.line();
    const asking = run(client, CLIENT, [String(bytes), address]);
    try {
      return JSON.parse(await asking.line()) as TcpExchange;
    } finally {
      await asking.stop();
    }
  } finally {
    await listening.stop();
  }
}

function run(
  { exec }: NetworkNamespace,
  script: string,
  args: readonly string[],
): { readonly line: () => Promise<string>; readonly stop: () => Promise<void> } {
  const [program, ...words] = exec;
  const command = [...words, process.execPath, "--input-type=module", "-e", script, "--", ...args];
  const child = spawn(program, command, { stdio: ["ignore", "pipe", "inherit"], timeout: 40_000 });
  const ended = once(child, "close");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    line: async () => {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`a process in '${words.at(-1)}' ended without a word`);
      return value;
    },
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
