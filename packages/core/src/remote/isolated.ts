import { VdcError } from "../error/vdc-error.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { AnyExtensionPoint, ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import type { PluginManifest, ProviderName } from "../plugin/manifest.ts";
import type { PluginContext } from "../plugin/plugin-context.ts";
import { checkedSender } from "./checked-sender.ts";
import { type ChildOptions, ChildPlugin } from "./child-plugin.ts";
import { KernelProviders, type ProviderLookup } from "./kernel-providers.ts";
import { proxyClassOf } from "./proxy-class.ts";

/** Options of {@link isolated}. */
export interface IsolatedOptions extends ChildOptions {
  /**
   * The module whose default export is the plugin: a file URL or a path, or what `import.meta.resolve` gives for a specifier.
   * Not with `command`.
   */
  readonly module?: string | undefined;
}

/**
 * The same plugin, run in a child process: a crash, a hang or a leak stays in there.
 *
 * The result has the plugin's manifest, so a kernel plans, starts, and stops it like the plugin itself. Its `setup` starts the child,
 * which imports the module and runs the plugin in a kernel of its own; what the plugin requires reaches it over the same connection.
 * When the child ends or hangs it is killed and started again with back-off; until then calls answer `UNAVAILABLE`, and the plugin is
 * `degraded` with the reason. When the plugin stops, the child is asked to, then gets SIGTERM, then SIGKILL. When this process dies,
 * the child ends by itself. What a `command` answers is always held against the contract.
 *
 * The config crosses as JSON, after the parent's kernel has checked it, and is checked again by the child's. Events and hooks stay in
 * the child.
 *
 * @example
 * ```ts
 * import storage from "@acme/vdc-storage";
 * kernel.use(use(isolated(storage, { module: import.meta.resolve("@acme/vdc-storage") }), { config }));
 * ```
 */
export function isolated(source: Plugin | PluginManifest, options: IsolatedOptions): Plugin {
  if ((options.module === undefined) === (options.command === undefined)) {
    throw new VdcError("INVALID_ARGUMENT", "an isolated plugin is either a 'module' or a 'command'");
  }
  const manifest = "manifest" in source ? source.manifest : source;
  const { config: schema, ...rest } = manifest;
  return definePlugin<unknown>({
    ...rest,
    ...(schema === undefined ? {} : { config: schema }),
    module: options.module ?? "",
    setup: (context, config) => setUp(context as unknown as PluginContext, { manifest, options, config }),
  });
}

interface SetUp {
  readonly manifest: PluginManifest;
  readonly options: IsolatedOptions;
  readonly config: unknown;
}

async function setUp(context: PluginContext, { manifest, options, config }: SetUp): Promise<void> {
  const available = new ContextProviders(context, manifest);
  const child = await context.acquire(
    "child process",
    (signal) =>
      ChildPlugin.start(
        {
          start: { id: context.id, module: options.module ?? "", config: config ?? null },
          serves: new KernelProviders(available, available.points),
          logger: context.logger,
          clock: context.clock,
          onDegraded: (reason) => context.degraded(reason),
        },
        options,
        signal,
      ),
    (running) => running.stop(),
  );
  // What a module of this language answers is checked as far as the kernel is asked to; of another's nothing is known.
  const sender = options.command === undefined ? child.sender : checkedSender(child.sender);
  for (const { point, name } of manifest.provides) {
    const resolved = resolveName(name, context.id, config);
    const offered = child.offered(point, resolved);
    const ProxyOfPoint = proxyClassOf(point);
    const proxy = new ProxyOfPoint(sender, resolved, offered.facets) as Contract;
    context.provide(point as ExtensionPoint<Contract>, proxy, { name: resolved });
  }
}

function resolveName(name: ProviderName | undefined, id: string, config: unknown): string {
  if (name === undefined) return id;
  if (typeof name === "string") return name;
  return String((config as Readonly<Record<string, unknown>> | undefined)?.[name.fromConfig]);
}

/** What a plugin requires and uses, as a lookup by point and name: what its child may reach, and nothing else. */
class ContextProviders implements ProviderLookup {
  readonly points: readonly AnyExtensionPoint[];
  readonly #handles: Map<string, Handle<Contract>> = new Map();
  readonly #directories: Map<string, Providers<Contract>> = new Map();

  constructor(context: PluginContext, manifest: PluginManifest) {
    const points = new Map<string, AnyExtensionPoint>();
    for (const [requirements, values] of [
      [manifest.requires, context.requires],
      [manifest.uses, context.uses],
    ] as const) {
      for (const [key, { point, all }] of Object.entries(requirements)) {
        points.set(point.id, point);
        const value = (values as Readonly<Record<string, unknown>>)[key];
        if (value === undefined) continue;
        if (all) this.#directories.set(point.id, value as Providers<Contract>);
        else this.#handles.set(`${point.id}\n${(value as Handle<Contract>).name}`, value as Handle<Contract>);
      }
    }
    this.points = [...points.values()];
  }

  all<T extends Contract>(point: ExtensionPoint<T>): Providers<T> {
    const directory = this.#directories.get(point.id);
    const find = (name: string): Handle<Contract> | undefined =>
      this.#handles.get(`${point.id}\n${name}`) ?? (directory?.has(name) ? directory.get(name) : undefined);
    const own = [...this.#handles.values()]
      .filter((handle) => handle.point.id === point.id)
      .map((handle) => handle.name);
    return {
      get: (name) => {
        const handle = find(name);
        if (handle === undefined) throw new VdcError("NOT_FOUND", `there is no provider '${name}' of '${point.id}'`);
        return handle as unknown as Handle<T>;
      },
      has: (name) => find(name) !== undefined,
      names: () => [...new Set([...own, ...(directory?.names() ?? [])])].sort(),
    };
  }
}
