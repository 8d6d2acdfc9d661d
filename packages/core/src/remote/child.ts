// The process that an isolated plugin runs in. Started by `isolated`, with the channel at file descriptor 3: see the wire protocol.

import { Socket } from "node:net";
import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import type { Logger } from "../context/logger.ts";
import { VdcError } from "../error/vdc-error.ts";
import { pluginStateChanged } from "../event/kernel-events.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { AnyExtensionPoint, ExtensionPoint } from "../extension-point/extension-point.ts";
import { Kernel } from "../kernel/kernel.ts";
import type { Provided } from "../kernel/kernel-api.ts";
import { use } from "../kernel/plugin-registration.ts";
import { type Plugin, pluginFormatOf } from "../plugin/define-plugin.ts";
import type { JsonObject } from "../schema/json.ts";
import type { ProviderSource } from "./call-server.ts";
import type { StartRequest } from "./child-process-peer.ts";
import type { JsonRpcLink } from "./json-rpc-link.ts";
import { KernelProviders } from "./kernel-providers.ts";
import { watchParent } from "./parent-watch.ts";
import { readProviders, type RemoteConnection } from "./remote-connection.ts";
import { serveProviders } from "./serve-providers.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/** How long the plugin may take to release everything when the parent is gone, in milliseconds. */
const orphanGraceMs = 2000;
/** How often the parent's providers are listed again for a plugin that requires all of a point, in milliseconds. */
const directoryPollMs = 1000;

/** Until the plugin has started there is nothing. */
let served: ProviderSource | undefined;
let kernel: Kernel | undefined;
let connection: RemoteConnection;

function main(): void {
  watchParent(orphanGraceMs + 1000);
  const channel = new Socket({ fd: 3, readable: true, writable: true });
  const source: ProviderSource = {
    lookup: (point, name) => served?.lookup(point, name),
    list: () => served?.list() ?? [],
  };
  connection = serveProviders(channel, source);
  const { link } = connection;
  link.handle("start", ([request]) => start(request as StartRequest & { readonly providers: unknown }));
  link.handle("stop", async () => {
    const report = await kernel?.stop();
    for (const { error } of report?.plugins.flatMap((plugin) => plugin.errors) ?? []) {
      throw new VdcError("INTERNAL", `the plugin did not release everything: ${error.message}`, { cause: error });
    }
    return null;
  });
  // The channel's end is the parent's: nobody is left to serve.
  void link.closed.then(async () => {
    setTimeout(() => process.exit(1), orphanGraceMs);
    await kernel?.stop();
    process.exit(0);
  });
  process.on("SIGTERM", () => process.exit(0));
}

async function start(request: StartRequest & { readonly providers: unknown }): Promise<readonly ProviderInfo[]> {
  if (kernel !== undefined) throw new VdcError("FAILED_PRECONDITION", "this process runs a plugin already");
  const plugin = await importPlugin(request.module);
  const { manifest } = plugin;
  const started = new Kernel({ logger: new LinkLogger(connection.link, {}) });
  kernel = started;
  const needs = [...Object.values(manifest.requires), ...Object.values(manifest.uses)];
  const parent = new ParentProviders(
    started,
    needs.map(({ point }) => point),
  );
  parent.update(readProviders(request.providers));
  started.events.on(pluginStateChanged, ({ to, reason }) => {
    if (to === "degraded") connection.link.notify("degraded", [reason]);
    if (to === "ready") connection.link.notify("degraded", [null]);
  });
  started.use(use(plugin, { id: request.id, config: request.config ?? undefined }));
  await started.start();
  if (needs.some(({ all }) => all)) {
    setInterval(() => {
      connection.list().then(
        (providers) => parent.update(providers),
        () => {},
      );
    }, directoryPollMs).unref();
  }
  served = new KernelProviders(
    started,
    manifest.provides.map(({ point }) => point),
  );
  return served.list();
}

async function importPlugin(module: string): Promise<Plugin> {
  const url = isAbsolute(module) ? pathToFileURL(module).href : module;
  const { default: plugin } = (await import(url)) as { readonly default?: unknown };
  if (pluginFormatOf(plugin) === undefined) {
    throw new VdcError("INVALID_ARGUMENT", `the default export of '${module}' is not a plugin`);
  }
  return plugin as Plugin;
}

/** What the parent provides, as providers of this process's kernel. */
class ParentProviders {
  readonly #kernel: Kernel;
  readonly #points: ReadonlyMap<string, AnyExtensionPoint>;
  readonly #provided: Map<string, Provided> = new Map();

  constructor(into: Kernel, points: readonly AnyExtensionPoint[]) {
    this.#kernel = into;
    this.#points = new Map(points.map((point) => [point.id, point]));
  }

  update(providers: readonly ProviderInfo[]): void {
    const present = new Set<string>();
    for (const { point: id, name } of providers) {
      const point = this.#points.get(id) as ExtensionPoint<Contract> | undefined;
      if (point === undefined) continue;
      const key = `${id}\n${name}`;
      present.add(key);
      if (!this.#provided.has(key)) {
        this.#provided.set(key, this.#kernel.provide(point, name, connection.proxy(point, name)));
      }
    }
    for (const [key, provided] of this.#provided) {
      if (present.has(key)) continue;
      this.#provided.delete(key);
      void provided.remove();
    }
  }
}

/** Above so many waiting bytes nothing more is logged: a log must not cost the connection. */
const logHighWater = 1024 * 1024;

/** Logs through the parent. */
class LinkLogger implements Logger {
  readonly #link: JsonRpcLink;
  readonly #fields: JsonObject;

  constructor(link: JsonRpcLink, fields: JsonObject) {
    this.#link = link;
    this.#fields = fields;
  }

  debug(message: string, fields?: JsonObject): void {
    this.#send("debug", message, fields);
  }

  info(message: string, fields?: JsonObject): void {
    this.#send("info", message, fields);
  }

  warn(message: string, fields?: JsonObject): void {
    this.#send("warn", message, fields);
  }

  error(message: string, fields?: JsonObject): void {
    this.#send("error", message, fields);
  }

  child(fields: JsonObject): Logger {
    return new LinkLogger(this.#link, { ...this.#fields, ...fields });
  }

  #send(level: string, message: string, fields: JsonObject | undefined): void {
    if (this.#link.bufferedBytes > logHighWater) return;
    try {
      this.#link.notify("log", [level, message, { ...this.#fields, ...fields }]);
    } catch {
      // A logger never throws; what is too long or no JSON is not logged.
    }
  }
}

main();
