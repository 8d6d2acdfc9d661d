import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, type Contract, type ExtensionPoint, type Plugin, systemClock, VdcError } from "@vdc-os/core";
import { Kernel, type PluginRegistration, use } from "@vdc-os/core/kernel";
import { KernelProviders } from "@vdc-os/core/remote";
import type { Instance } from "../suite/suite.ts";

/** Options of {@link CertificationKit.start}. */
export interface StartPluginOptions {
  /** The plugin's config. Defaults to none. */
  readonly config?: unknown;
  /** Which of the plugin's providers of the point. Defaults to the only one. */
  readonly name?: string | undefined;
  /** What the plugin requires. Defaults to nothing. */
  readonly plugins?: readonly PluginRegistration[];
  /** The kernel's clock, which the plugin gets too. Defaults to the machine's. */
  readonly clock?: Clock | undefined;
}

/** A plugin that runs. */
export interface StartedPlugin<T extends Contract> {
  /** What it provides, as an author implements it. */
  readonly implementation: T;
  /** The kernel that it runs in. */
  readonly kernel: Kernel;
  /** Stops it. What is not stopped is when the requirement is over. */
  stop(): Promise<void>;
}

/** What the machinery gives to an author's factory, for one requirement. Whatever it made goes when the requirement is over. */
export interface CertificationKit {
  /** The plugin of the package that is being certified. */
  readonly plugin: Plugin;
  /** The URL of the module that exports it, to run it in a process that can be killed: see `isolated`. Not there in a test that has no package. */
  readonly module: string | undefined;
  /** Starts it in a kernel of its own, as a datacenter does, and reaches what it provides through the kernel. */
  start<T extends Contract>(point: ExtensionPoint<T>, options?: StartPluginOptions): Promise<StartedPlugin<T>>;
  /** The path of a new folder, with nothing in it. */
  folder(): string;
  /** Runs when the requirement is over, after what was made later is gone: for what the plugin works with, such as a server or a host. */
  defer(release: () => Promise<void> | void): void;
}

/** Makes a fresh instance for one requirement. */
export type InstanceFactory<I> = (kit: CertificationKit) => I | Promise<I>;

/** What the module of an author's factory exports. */
export interface FactoryModule<I> {
  readonly create: InstanceFactory<I>;
  /** Called once, before the first requirement: starts what all of them share, such as a daemon. It is disposed of after the last one. */
  readonly prepare?: (() => AsyncDisposable | Promise<AsyncDisposable>) | undefined;
}

/** An author's factory as a suite calls it. What the kit gave is released after the instance. */
export function createInstance<T extends Contract, I extends Instance<T>>(
  { plugin, module }: Pick<CertificationKit, "plugin"> & Partial<Pick<CertificationKit, "module">>,
  factory: InstanceFactory<I>,
): () => Promise<I> {
  return async () => {
    const kit = new OwnKit(plugin, module);
    try {
      const instance = await factory(kit);
      const dispose = instance.dispose?.bind(instance);
      // On the instance itself, which may be of any class.
      instance.dispose = async () => {
        try {
          await dispose?.();
        } finally {
          await kit.release();
        }
      };
      return instance;
    } catch (error) {
      await kit.release();
      throw error;
    }
  };
}

class OwnKit implements CertificationKit {
  readonly plugin: Plugin;
  readonly module: string | undefined;
  readonly #releases: (() => Promise<void> | void)[] = [];

  constructor(plugin: Plugin, module: string | undefined) {
    this.plugin = plugin;
    this.module = module;
  }

  async start<T extends Contract>(
    point: ExtensionPoint<T>,
    { config, name, plugins = [], clock = systemClock }: StartPluginOptions = {},
  ): Promise<StartedPlugin<T>> {
    const kernel = new Kernel({ plugins: [...plugins, use(this.plugin, { config })], clock });
    this.#releases.push(() => stopKernel(kernel));
    await kernel.start();
    const names = kernel.plan().order.find(({ id }) => id === this.plugin.manifest.name)?.provides ?? [];
    const own = names.filter((provision) => provision.point === point.id).map((provision) => provision.name);
    const wanted = name ?? own[0];
    const served = wanted === undefined ? undefined : new KernelProviders(kernel, [point]).lookup(point.id, wanted);
    if (served === undefined || (name === undefined && own.length > 1)) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `plugin '${this.plugin.manifest.name}' provides '${point.id}' as ${own.map((one) => `'${one}'`).join(", ") || "nothing"}: give 'name'`,
      );
    }
    return { implementation: served.implementation as T, kernel, stop: () => stopKernel(kernel) };
  }

  folder(): string {
    const path = mkdtempSync(join(tmpdir(), "vdc-ready-"));
    if (folders.size === 0) process.on("exit", removeFolders);
    folders.add(path);
    this.#releases.push(() => {
      rmSync(path, { recursive: true, force: true });
      folders.delete(path);
      if (folders.size === 0) process.off("exit", removeFolders);
    });
    return path;
  }

  defer(release: () => Promise<void> | void): void {
    this.#releases.push(release);
  }

  async release(): Promise<void> {
    const errors: unknown[] = [];
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/** Folders that are in use: a plugin may end the process. */
const folders = new Set<string>();

function removeFolders(): void {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
}

/** A plugin must release all that it acquired. */
async function stopKernel(kernel: Kernel): Promise<void> {
  const { plugins } = await kernel.stop();
  const problems = plugins.flatMap(({ id, errors }) =>
    errors.map(({ label, error }) => `plugin '${id}' did not release '${label}': ${error.message}`),
  );
  if (problems.length > 0) throw new VdcError("INTERNAL", problems.join("; "));
}
