import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A server under measurement: how it is started for a file on a socket. */
export interface Peer {
  readonly name: string;
  command(socket: string, file: string): readonly [string, ...string[]];
}

const serveEntry = fileURLToPath(new URL("./nbd-server.ts", import.meta.url));

export const peers: readonly Peer[] = [
  { name: "ours raw", command: (socket, file) => [process.execPath, serveEntry, socket, file] },
  { name: "ours null", command: (socket) => [process.execPath, serveEntry, socket, `null:${2 ** 30}`] },
  {
    name: "qemu-nbd raw",
    command: (socket, file) => ["qemu-nbd", "-t", "-e", "16", "-f", "raw", "--cache=writeback", "-k", socket, file],
  },
  { name: "nbdkit file", command: (socket, file) => ["nbdkit", "-f", "-U", socket, "file", file] },
];

/** A running server, and the processor time that it has taken. */
export class RunningPeer {
  readonly #child: ChildProcess;
  readonly #socket: string;

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child;
    this.#socket = socket;
  }

  static async start(command: readonly [string, ...string[]], socket: string): Promise<RunningPeer> {
    const [file, ...args] = command;
    rmSync(socket, { force: true });
    const child = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] });
    const deadline = performance.now() + 10_000;
    while (!existsSync(socket)) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`'${file}' did not start`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    return new RunningPeer(child, socket);
  }

  /** User and system time in microseconds; a clock tick is 10 ms on Linux. */
  cpuMicroseconds(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await gone;
    rmSync(this.#socket, { force: true });
  }
}
