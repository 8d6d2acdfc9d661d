import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { root } from "../architecture/source-tree.ts";
import { LoopbackRegistry } from "./loopback-registry.ts";
import { type ProgramResult, runProgram } from "./run-program.ts";

/** What is kept of the environment: how the registry is reached. npm tells where its settings for all users are, which another Node.js would look for elsewhere. */
const kept =
  /^(https?_proxy|no_proxy|all_proxy|npm_config_(registry|globalconfig)|node_extra_ca_certs|ssl_cert_(file|dir)|lang|tmpdir|ci)$/i;

/** What installers have downloaded, for all machines. */
const caches = join(root, ".cache/installers");

/**
 * A machine of somebody who has Node.js, npm and access to a registry, and nothing of this repository: a home folder of its own, an environment
 * of its own, and our packages in a registry, as if they were published.
 */
export class CleanMachine {
  /** The folder for everything; it is removed in the end. */
  readonly directory: string;
  readonly registry: LoopbackRegistry;
  /** The registry for everything that is not ours. */
  readonly publicRegistry: string;
  readonly #npm: string;
  readonly #authorities: string | undefined;

  private constructor(
    directory: string,
    registry: LoopbackRegistry,
    found: { readonly npm: string; readonly publicRegistry: string; readonly authorities: string | undefined },
  ) {
    this.directory = directory;
    this.registry = registry;
    this.#npm = found.npm;
    this.publicRegistry = found.publicRegistry;
    this.#authorities = found.authorities;
  }

  static async arrive(): Promise<CleanMachine> {
    const registry = await LoopbackRegistry.serve();
    const directory = await realpath(await mkdtemp(join(tmpdir(), "vdc-stranger-")));
    try {
      const home = join(directory, "home");
      await mkdir(home);
      // What was downloaded before is shared; what `npm create` and `npx` have installed before is not: it may be older packages of the same version.
      const downloads = join(caches, "npm/_cacache");
      await mkdir(downloads, { recursive: true });
      await mkdir(join(directory, "npm"));
      await symlink(downloads, join(directory, "npm/_cacache"), "dir");
      const userconfig = process.env.npm_config_userconfig ?? join(homedir(), ".npmrc");
      const settings = await readFile(userconfig, "utf8").catch(() => "");
      const npm = await findNpm();
      const settingOf = async (name: string): Promise<string> =>
        (await runProgram(process.execPath, [npm, "config", "get", name], { cwd: directory })).stdout.trim();
      const publicRegistry = await settingOf("registry");
      const registries = `registry=${publicRegistry}\n@vdc-os:registry=${registry.url}\n`;
      await writeFile(join(home, ".npmrc"), `${settings}\n${registries}`);
      const cafile = await settingOf("cafile");
      const authorities = isAbsolute(cafile) ? cafile : undefined;
      return new CleanMachine(directory, registry, { npm, publicRegistry, authorities });
    } catch (error) {
      await registry[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Runs npm on a Node.js. Defaults to this one. */
  npm(args: readonly string[], options: { readonly cwd: string; readonly node?: string }): Promise<ProgramResult> {
    return this.run(this.#npm, [...args], options);
  }

  /** Runs a script of JavaScript on a Node.js, which is the one on the PATH as well. */
  run(
    script: string,
    args: readonly string[],
    options: { readonly cwd: string; readonly node?: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<ProgramResult> {
    const node = options.node ?? process.execPath;
    return this.start(node, [script, ...args], { ...options, node });
  }

  start(
    file: string,
    args: readonly string[],
    options: { readonly cwd: string; readonly node?: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<ProgramResult> {
    const { cwd, node = process.execPath } = options;
    const env = { ...this.#environment(node), ...options.env };
    return runProgram(file, args, { cwd, env, timeoutMs: 600_000 });
  }

  #environment(node: string): Record<string, string> {
    const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules/.bin"));
    return {
      // What npm is told to trust, the others trust as well.
      ...(this.#authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: this.#authorities }),
      ...Object.fromEntries(
        Object.entries(process.env).filter(([name, value]) => kept.test(name) && value !== undefined),
      ),
      PATH: [dirname(node), ...path].join(delimiter),
      HOME: join(this.directory, "home"),
      NO_COLOR: "1",
      npm_config_cache: join(this.directory, "npm"),
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
      npm_config_prefer_offline: "true",
      XDG_DATA_HOME: join(caches, "data"),
      XDG_CACHE_HOME: join(this.directory, "caches"),
      XDG_STATE_HOME: join(this.directory, "state"),
      YARN_CACHE_FOLDER: join(this.directory, "yarn-cache"),
      YARN_ENABLE_TELEMETRY: "0",
      YARN_ENABLE_IMMUTABLE_INSTALLS: "0",
    } as Record<string, string>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** The script of npm that started us, or else of the first npm on the PATH. */
async function findNpm(): Promise<string> {
  const script = process.env.npm_execpath;
  if (script !== undefined && basename(script) === "npm-cli.js") return script;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const found = await realpath(join(folder, "npm")).catch(() => undefined);
    if (found !== undefined && basename(found) === "npm-cli.js") return found;
  }
  throw new Error("'npm' was not found on the PATH");
}
