import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Random } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import { Acknowledgements } from "./acknowledgements.ts";
import { makeBootDisk } from "../datacenter/boot-disk.ts";
import { checkContents, checkImages } from "./check-disks.ts";
import { markerOf, rootFile, rootNames } from "./choose-operation.ts";
import { findLeaks } from "./find-leaks.ts";
import type { KillPoint, ManagerLine, ManagerSettings } from "./manager-protocol.ts";
import { type DatacenterProcess, findProcesses, findSockets, killProcess } from "../datacenter/owned-processes.ts";

/** Options of {@link runCrashes}. */
export interface CrashRunOptions {
  readonly seed: number;
  /** How often the manager is killed. */
  readonly kills: number;
  readonly virtualMachines: boolean;
}

/** What {@link runCrashes} did. */
export interface CrashReport {
  readonly kills: number;
  /** Processes that were killed besides. */
  readonly victims: number;
  /** Calls that were accepted. */
  readonly accepted: number;
  /** How often everything was looked at. */
  readonly judged: number;
}

/** What becomes of one manager. */
interface Life {
  readonly kill: KillPoint | undefined;
  /** After how long it lets everything settle, without being started anew. */
  readonly restAfterMs?: number;
  /** Also killed: together with the manager, or while it works. */
  readonly victim?: { readonly what: DatacenterProcess["what"]; readonly afterMs: number | "together" };
}

/** A manager that does not come to its kill point is killed after so long, in milliseconds. */
const longestWorkMs = 2_500;
/** How long a manager may take until it has said what there is. */
const longestOpeningMs = 60_000;

/**
 * One datacenter, whose managers are killed one after the other. Each one first takes up what the one before has left, and that is judged; then it works until
 * it is killed. The last one destroys the datacenter, and then nothing may be left. Throws with all that was wrong.
 */
export async function runCrashes(options: CrashRunOptions): Promise<CrashReport> {
  const base = await mkdtemp(join(tmpdir(), "vc"));
  const run = new CrashRun(base, options);
  try {
    await run.prepare();
    for (let index = 0; index < options.kills; index++) await run.live(run.plan(index), index);
    // A host that has just lost its runtime is removed all the same.
    await run.live({ kill: undefined, victim: { what: "runtime", afterMs: 0 } }, options.kills);
    return run.report;
  } finally {
    await run.cleanUp();
  }
}

class CrashRun {
  readonly #directory: string;
  readonly #outside: string;
  readonly #base: string;
  readonly #options: CrashRunOptions;
  readonly #random: Random;
  readonly #known = new Acknowledgements();
  readonly #history: string[] = [];
  #child: ChildProcess | undefined;
  report: CrashReport = { kills: 0, victims: 0, accepted: 0, judged: 0 };

  constructor(base: string, options: CrashRunOptions) {
    this.#base = base;
    this.#directory = join(base, "dc");
    this.#outside = join(base, "o");
    this.#options = options;
    this.#random = createTestRandom(options.seed);
  }

  async prepare(): Promise<void> {
    await mkdir(this.#outside);
    for (const root of rootNames) await writeFile(rootFile(this.#outside, root), makeBootDisk(markerOf(root) ?? ""));
  }

  /** Chooses how a manager ends. */
  plan(index: number): Life {
    const random = this.#random;
    const moment = random.next() < 0.5 ? "before" : "after";
    const phases = ["opening", "opening", "opening", "destroying", ...Array<"working">(7).fill("working")] as const;
    const phase = index === 0 ? "working" : (phases[Math.floor(random.next() * phases.length)] ?? "working");
    const effect = 1 + Math.floor(random.next() * { opening: 60, working: 250, destroying: 120 }[phase]);
    const kinds = this.#options.virtualMachines
      ? (["runtime", "storage", "switch", "qemu"] as const)
      : (["runtime", "switch"] as const);
    const what = kinds[Math.floor(random.next() * kinds.length)] ?? "runtime";
    const chance = random.next();
    const afterMs = Math.floor(random.next() * 400);
    const kill = { phase, effect, moment } as const;
    if (chance < 0.15) return { kill, victim: { what, afterMs: "together" } };
    if (chance < 0.25) return { kill, victim: { what, afterMs } };
    return chance < 0.4 ? { kill, victim: { what, afterMs }, restAfterMs: 500 } : { kill };
  }

  async live(life: Life, index: number): Promise<void> {
    const isLast = index === this.#options.kills;
    const settings: ManagerSettings = {
      directory: this.#directory,
      outside: this.#outside,
      virtualMachines: this.#options.virtualMachines,
      seed: this.#options.seed * 1_000 + index,
      destroy: isLast || life.kill?.phase === "destroying",
      ...(life.restAfterMs === undefined ? {} : { restAfterMs: life.restAfterMs }),
      ...(life.kill === undefined ? {} : { kill: life.kill }),
    };
    this.#history.push(`--- manager ${index}: ${JSON.stringify(life)}`);
    this.#known.begin();
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("./manager-process.ts", import.meta.url)), JSON.stringify(settings)],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    this.#child = child;
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.stdin.on("error", () => {});
    const closed = once(child, "close") as Promise<[number | null, string | null]>;
    let timer = setTimeout(() => child.kill("SIGKILL"), longestOpeningMs);
    let settled = 0;
    let sawDestroyed = false;
    let victim: NodeJS.Timeout | undefined;
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as ManagerLine;
      this.#hear(line);
      if (line.line === "destroyed") sawDestroyed = true;
      if (line.line !== "settled") continue;
      // The inventory may say what was, until the controllers have looked at what is.
      if (!(await this.#judge(line))) {
        child.stdin.write("look again\n");
        continue;
      }
      settled++;
      if (settings.destroy) this.#known.destroying();
      child.stdin.write("go on\n");
      clearTimeout(timer);
      const rests = settled === 1 && life.restAfterMs !== undefined && !settings.destroy;
      timer = setTimeout(() => child.kill("SIGKILL"), isLast || rests ? longestOpeningMs : longestWorkMs);
      if (settled === 1 && life.victim !== undefined && life.victim.afterMs !== "together") {
        const { what, afterMs } = life.victim;
        victim = setTimeout(() => void this.#killOne(what), afterMs);
      }
    }
    const [code, signal] = await closed;
    clearTimeout(timer);
    clearTimeout(victim);
    if (isLast) {
      if (!sawDestroyed || code !== 0) this.#fail([`the last manager ended with ${code ?? signal}: ${errors}`]);
      await this.#judgeEnd();
      return;
    }
    // What is destroyed before it comes to its kill point is gone: the next manager makes it anew.
    if (sawDestroyed) {
      await this.#judgeEnd();
      return;
    }
    if (signal !== "SIGKILL") this.#fail([`the manager ended by itself, with ${code ?? signal}: ${errors}`]);
    if (settled === 0 && life.kill?.phase === "working") this.#fail(["the datacenter was not open in time", errors]);
    if (life.victim?.afterMs === "together") await this.#killOne(life.victim.what);
    this.report = { ...this.report, kills: this.report.kills + 1 };
  }

  async cleanUp(): Promise<void> {
    this.#child?.kill("SIGKILL");
    for (
      let left = await findProcesses(this.#directory);
      left.length > 0;
      left = await findProcesses(this.#directory)
    ) {
      for (const { pid } of left) killProcess(pid);
    }
    await rm(this.#base, { recursive: true, force: true });
  }

  #hear(line: ManagerLine): void {
    this.#known.hear(line);
    if (line.line !== "settled") this.#history.push(JSON.stringify(line));
    if (line.line === "accepted") this.report = { ...this.report, accepted: this.report.accepted + 1 };
    // What a user asks for here can always be had.
    if (line.line === "failed" && line.code !== "CANCELLED")
      this.#fail([`task ${line.id} failed: ${line.code} ${line.message}`]);
  }

  /** Whether all is as it must be. Throws when it is not, and the time for it is over. */
  async #judge(line: ManagerLine & { readonly line: "settled" }): Promise<boolean> {
    const { snapshot, timeIsOver } = line;
    const leaks = await findLeaks(this.#directory, snapshot);
    if (leaks.length > 0 && !timeIsOver) return false;
    const problems = [
      ...leaks,
      ...this.#known.judge(snapshot),
      ...(await checkContents(this.#directory, snapshot)),
      ...(this.#options.virtualMachines ? [] : await checkImages(this.#directory, snapshot)),
    ];
    this.report = { ...this.report, judged: this.report.judged + 1 };
    if (problems.length > 0) this.#fail(problems);
    return true;
  }

  async #judgeEnd(): Promise<void> {
    const processes = await findProcesses(this.#directory);
    const sockets = await findSockets(this.#directory);
    const files = await readdir(this.#directory).catch(() => []);
    const problems = [
      ...processes.map(({ pid, command }) => `process ${pid} is left: ${command}`),
      ...sockets.map((socket) => `a socket is left: ${socket}`),
      ...files.map((name) => `'${name}' is left in the folder`),
    ];
    if (problems.length > 0) this.#fail(problems);
  }

  async #killOne(what: DatacenterProcess["what"]): Promise<void> {
    const candidates = (await findProcesses(this.#directory)).filter((found) => found.what === what);
    const victim = candidates[Math.floor(this.#random.next() * candidates.length)];
    if (victim === undefined || !killProcess(victim.pid)) return;
    this.#history.push(`killed ${what} ${victim.pid}`);
    this.report = { ...this.report, victims: this.report.victims + 1 };
  }

  #fail(problems: readonly string[]): never {
    throw new Error(
      `seed ${this.#options.seed}:\n  ${problems.join("\n  ")}\nwhat happened before:\n${this.#history.slice(-60).join("\n")}`,
    );
  }
}
