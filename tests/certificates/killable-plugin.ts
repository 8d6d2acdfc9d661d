import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Contract, ExtensionPoint } from "@vdc-os/core";
import { Kernel, type PluginRegistration, use } from "@vdc-os/core/kernel";
import { isolated, KernelProviders } from "@vdc-os/core/remote";
import type { CertificationKit } from "@vdc-os/ready";

/** Options of {@link startKillable}. */
export interface StartKillableOptions {
  readonly name: string;
  readonly config: unknown;
  /** What the plugin requires, in this process. */
  readonly plugins: readonly PluginRegistration[];
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgv?: readonly string[];
}

/** The plugin that is being certified, in a process of its own. */
export interface KillablePlugin<T extends Contract> {
  readonly implementation: T;
  /** Ends its process by SIGKILL, for good. */
  kill(): Promise<void>;
}

/** The variable by which the process is found. */
const mark = "VDC_CERTIFY_PROCESS";

/** Starts the plugin in a process of its own, so that `kill -9` is just that. It ends with the requirement. */
export async function startKillable<T extends Contract>(
  kit: CertificationKit,
  point: ExtensionPoint<T>,
  { name, config, plugins, env = {}, execArgv = [] }: StartKillableOptions,
): Promise<KillablePlugin<T>> {
  const id = randomUUID();
  // When it is started again after its end is for this to say, and not for its supervisor.
  const restart = { firstBackOffMs: 3_600_000, maxBackOffMs: 3_600_000 };
  const child = isolated(kit.plugin, { module: kit.module, env: { ...env, [mark]: id }, execArgv, restart });
  const kernel = new Kernel({ plugins: [...plugins, use(child, { config })] });
  let stopping: Promise<unknown> | undefined;
  const stop = async (): Promise<void> => {
    stopping ??= kernel.stop();
    await stopping;
  };
  kit.defer(stop);
  await kernel.start();
  const served = new KernelProviders(kernel, [point]).lookup(point.id, name);
  if (served === undefined) throw new Error(`the plugin does not provide '${name}'`);
  // Looked for while nothing happens: a kill that has to look first comes when all is done.
  const pids = processesMarked(id);
  return {
    implementation: served.implementation as T,
    async kill() {
      for (const pid of pids) if (isMarked(pid, id)) process.kill(pid, "SIGKILL");
      await stop();
    },
  };
}

/** The processes that have the mark. */
function processesMarked(id: string): readonly number[] {
  return readdirSync("/proc").flatMap((entry) =>
    /^\d+$/.test(entry) && isMarked(Number(entry), id) ? [Number(entry)] : [],
  );
}

/** Whether a process has the mark in its environment: proc(5). */
function isMarked(pid: number, id: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${mark}=${id}`);
  } catch {
    // It ended meanwhile, or is another user's.
    return false;
  }
}
