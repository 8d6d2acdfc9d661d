import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Daemon, type DaemonOptions } from "./daemon.ts";
import { FixtureError } from "./fixture-error.ts";

/** A Unix socket's address holds 108 bytes with the zero at its end. */
const LONGEST_SOCKET_PATH = 107;

/**
 * The keeper: a shell that outlives this process. Each line that it reads is the whole list of daemons; when its input ends, because
 * this process closed it or died of whatever cause, it kills them and removes the folder.
 */
const KEEPER = `trap '' HUP INT TERM
while read -r line; do pids=$line; done
[ -n "$pids" ] && kill -9 $pids 2>/dev/null
for try in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 0.1; done`;

interface Keeper {
  readonly child: ChildProcess;
  readonly running: Set<number>;
}

/**
 * A temporary folder with the daemons that work in it. Disposing of it kills and reaps the daemons and removes the folder; so does the
 * end of this process, even by SIGKILL.
 */
export class DaemonFolder implements AsyncDisposable {
  readonly path: string;
  readonly #keeper: Keeper;
  /** Undefined for the temporary folder itself. */
  readonly #parent: DaemonFolder | undefined;
  readonly #children: (DaemonFolder | Daemon)[] = [];
  #disposed = false;

  private constructor(path: string, keeper: Keeper, parent?: DaemonFolder) {
    this.path = path;
    this.#keeper = keeper;
    this.#parent = parent;
  }

  static async create(): Promise<DaemonFolder> {
    const path = await mkdtemp(join(tmpdir(), "vdc-ovs-"));
    // A session of its own: signals to this process's group must not reach it.
    const child = spawn("/bin/sh", ["-c", KEEPER, "sh", path], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    child.stdin.on("error", () => undefined);
    child.unref();
    const stdin: unknown = child.stdin;
    (stdin as { unref?: () => void }).unref?.();
    return new DaemonFolder(path, { child, running: new Set() });
  }

  /** A folder below, with daemons of its own. */
  async folder(name: string): Promise<DaemonFolder> {
    this.#checkOpen();
    const path = join(this.path, name);
    await mkdir(path);
    const folder = new DaemonFolder(path, this.#keeper, this);
    this.#children.push(folder);
    return folder;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** The path of a socket. Throws `PATH_TOO_LONG` rather than let a daemon fail in its own words. */
  socket(name: string): string {
    const path = join(this.path, name);
    if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
      throw new FixtureError(
        "PATH_TOO_LONG",
        `'${path}' is longer than the ${LONGEST_SOCKET_PATH} bytes of a socket's path: set TMPDIR to a shorter one`,
      );
    }
    return path;
  }

  /** Starts a daemon and resolves when it is ready; what it had started is gone when this rejects. */
  async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options, {
      spawn: (program, args) => this.#spawn(program, args, options),
      logFile: this.file(`${options.name}.log`),
      outputFile: this.file(`${options.name}.out`),
      ended: (pid) => this.#running("delete", pid),
    });
    this.#children.push(daemon);
    await daemon.start();
    return daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const child of this.#children.toReversed()) {
      if (child instanceof Daemon) await child.kill();
      else await child[Symbol.asyncDispose]();
    }
    this.#children.length = 0;
    await rm(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
    if (this.#parent !== undefined) return;
    const { child } = this.#keeper;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    const exited = once(child, "exit");
    child.stdin?.end();
    await exited;
  }

  #spawn(program: string, args: readonly string[], { name, env = {} }: DaemonOptions): ChildProcess {
    this.#checkOpen();
    const output = openSync(this.file(`${name}.out`), "a");
    try {
      const child = spawn(program, args, {
        cwd: this.path,
        env: { ...process.env, ...env },
        stdio: ["ignore", output, output],
      });
      child.unref();
      if (child.pid !== undefined) this.#running("add", child.pid);
      return child;
    } finally {
      closeSync(output);
    }
  }

  /** When one daemon of many fails, others are still on their way: they must not come up in a folder that is being removed. */
  #checkOpen(): void {
    if (this.#disposed) throw new FixtureError("FAILED", `'${this.path}' was disposed of`);
    if (this.#parent !== undefined) this.#parent.#checkOpen();
  }

  #running(change: "add" | "delete", pid: number): void {
    const { child, running } = this.#keeper;
    running[change](pid);
    child.stdin?.write(`${[...running].join(" ")}\n`);
  }
}
