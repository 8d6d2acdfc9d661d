import { type ChildProcess, execFile, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const namespacePrefix = "vdcbench-";
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
const folderPrefix = "vdc-bench-network-";

/** A process of the sandbox, which is gone when the sandbox is. */
export interface SandboxProcess {
  readonly child: ChildProcess;
  readonly pid: number;
}

/**
 * Network namespaces, processes in them, and a folder, all named after this process. Every process runs in one of the namespaces, so what
 * belongs to a sandbox can be found by name alone: it is removed when the sandbox closes, when this process ends for any reason that it
 * hears of, and by the next sandbox where it didn't.
 */
export class Sandbox implements Disposable {
  readonly folder: string;
  readonly #onExit = (): void => this[Symbol.dispose]();
  readonly #onSignal = (): void => process.exit(130);
  #namespaces = 0;

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
    process.once("exit", this.#onExit);
    for (const signal of signals) process.on(signal, this.#onSignal);
  }

  /** Removes what dead benchmarks left, and opens an empty sandbox. */
  static open(): Sandbox {
    for (const pid of new Set([...namespaces(), ...folders()].map(ownerOf))) if (!isAlive(pid)) removeAllOf(pid);
    return new Sandbox();
  }

  /** Adds a namespace whose loopback is up, and returns its name. */
  async namespace(label: string): Promise<string> {
    this.#namespaces += 1;
    const name = `${namespacePrefix}${process.pid}-${this.#namespaces}${label}`;
    await run("ip", ["netns", "add", name]);
    await run("ip", ["-n", name, "link", "set", "lo", "up"]);
    return name;
  }

  /** Runs a program to its end in a namespace. Rejects with what it printed when it fails. */
  async exec(
    namespace: string,
    program: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<string> {
    const { stdout } = await run("ip", ["netns", "exec", namespace, program, ...args], {
      env: { ...process.env, ...env },
      maxBuffer: 1 << 24,
    });
    return stdout;
  }

  /** `ip` in a namespace, a command a line. */
  async ip(namespace: string, commands: string): Promise<void> {
    for (const line of commands.trim().split("\n")) await run("ip", ["-n", namespace, ...line.trim().split(/\s+/)]);
  }

  /** Switches off all that makes segments larger than the MTU, or leaves their check sums to hardware that isn't there. */
  async offloadsOff(namespace: string, device: string): Promise<void> {
    await this.exec(namespace, "ethtool", ["-K", device, "tx", "off", "gro", "off", "gso", "off", "tso", "off"]);
  }

  /** Starts a program in a namespace. It must stay in the foreground. */
  start(namespace: string, program: string, args: readonly string[], options: SpawnOptions = {}): SandboxProcess {
    // `ip netns exec` becomes the program, so that the process id is the program's.
    const child = spawn("ip", ["netns", "exec", namespace, program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      ...options,
      env: { ...process.env, ...options.env },
    });
    return { child, pid: child.pid as number };
  }

  /** Processor time that everything in the sandbox, and what ran there and has ended, has taken so far, in seconds. */
  cpuSeconds(): number {
    let ticks = ticksOf("self", [16, 17]);
    for (const name of namespaces().filter((each) => ownerOf(each) === process.pid)) {
      for (const pid of processesIn(name)) ticks += ticksOf(String(pid), [14, 15]);
    }
    return ticks / ticksPerSecond;
  }

  [Symbol.dispose](): void {
    removeAllOf(process.pid);
    // Last, so that a second Ctrl-C doesn't end the cleaning up.
    process.off("exit", this.#onExit);
    for (const signal of signals) process.off(signal, this.#onSignal);
  }
}

function namespaces(): string[] {
  const listed = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  return listed
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "")
    .filter((name) => name.startsWith(namespacePrefix));
}

function processesIn(namespace: string): number[] {
  const listed = execFileSync("ip", ["netns", "pids", namespace], { encoding: "utf8" });
  return listed.split("\n").filter(Boolean).map(Number);
}

/** What `/proc/<pid>/stat` says behind the program's name, beginning with the state; undefined when there is no such process. */
function statOf(pid: string): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name is in parentheses, with any character in it.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** The sum of some of the fields that are clock ticks, by their numbers in proc(5). A process that has ended counts among those of its parent. */
function ticksOf(pid: string, fields: readonly number[]): number {
  const stat = statOf(pid);
  return stat === undefined ? 0 : fields.reduce((sum, field) => sum + Number(stat[field - 3]), 0);
}

function folders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith(folderPrefix));
}

function ownerOf(name: string): number {
  return Number(/-(\d+)-[^-]*$/.exec(name)?.[1] ?? process.pid);
}

/** Whether the process runs. One that nobody has waited for doesn't. */
function isAlive(pid: number): boolean {
  const state = statOf(String(pid))?.[0];
  return state !== undefined && state !== "Z";
}

function removeAllOf(pid: number): void {
  for (const name of namespaces().filter((each) => ownerOf(each) === pid)) {
    for (const inside of processesIn(name)) {
      try {
        process.kill(inside, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    execFileSync("ip", ["netns", "del", name]);
  }
  for (const name of folders().filter((each) => ownerOf(each) === pid)) {
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}
