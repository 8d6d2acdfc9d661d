import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));

/** How a `vdc` process ended, and what it wrote. */
export interface VdcResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `vdc` process that runs. */
export interface VdcProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<VdcResult>;
  /** Resolves when standard output has this text. */
  says(text: string): Promise<void>;
}

/** A user's folder, with the packages that a config needs, in which `vdc` runs from the source. */
export class VdcFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<VdcFolder> {
    const path = await realpath(await mkdtemp(join(tmpdir(), "vdc-cli-")));
    const modules = join(path, "node_modules/@vdc-os");
    await mkdir(modules, { recursive: true });
    const own = join(packageFolder, "node_modules/@vdc-os");
    for (const name of await readdir(own)) await symlink(await realpath(join(own, name)), join(modules, name), "dir");
    await symlink(packageFolder, join(modules, "cli"), "dir");
    return new VdcFolder(path);
  }

  /** Starts `vdc` with a command line: words between blanks. */
  start(line: string): VdcProcess {
    const { NODE_OPTIONS, NODE_ENV, VITEST, FORCE_COLOR, ...env } = process.env;
    const child = spawn(process.execPath, [join(packageFolder, "src/main.ts"), ...line.split(" ")], {
      cwd: this.path,
      // It keeps here what it would keep for all users of the machine.
      env: { ...env, NODE_COMPILE_CACHE: join(this.path, "compiled") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
    const says = async (text: string): Promise<void> => {
      while (!stdout.includes(text)) await once(child.stdout, "data");
    };
    return { child, ended, says };
  }

  /** Runs `vdc` to its end. */
  run(line: string): Promise<VdcResult> {
    return this.start(line).ended;
  }

  /** Runs `vdc`, which must succeed. Returns what it printed. */
  async text(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(line);
    if (code !== 0) throw new Error(`'vdc ${line}' ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Runs `vdc` with `--json`, which must succeed. Returns what it printed. */
  async json<T = Record<string, never>>(line: string): Promise<T> {
    return JSON.parse(await this.text(`${line} --json`)) as T;
  }

  /** The processes that know of this folder, by their command lines. */
  async processes(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
      const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
      const [command, environment] = await Promise.all([read("cmdline"), read("environ")]);
      if (`${command}\0${environment}`.includes(this.path)) found.push(command.replaceAll("\0", " "));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("destroy --yes");
    await rm(this.path, { recursive: true, force: true });
  }
}
