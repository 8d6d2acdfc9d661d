import type { ExtensionPoint } from "@vdc-os/core";
import { hostRuntime } from "@vdc-os/core/host/v1";
import type { HostRuntimeConnection } from "./connect-host-runtime.ts";
import type { HostPluginModule } from "./runtime-options.ts";
import { spawnHostRuntime } from "./spawn-host-runtime.ts";
import { sweepHostDirectory } from "./sweep-host-directory.ts";

/** What a host's plugins are chosen by. */
export interface LocalHostPlace {
  /** The host's name, which its hypervisor has too. */
  readonly name: string;
  /** The host's own folder. */
  readonly directory: string;
}

/** Options of {@link localHost}. */
export interface LocalHostOptions {
  /** The host's name: lower-case letters, digits and `-`. */
  readonly name: string;
  /** Where other hosts reach its data planes. Defaults to `127.0.0.1`. */
  readonly address?: string;
  /** What fails together. Defaults to the host's name. */
  readonly failureDomain?: string;
  /** The plugins that run on the host. Defaults to none. */
  readonly plugins?: (place: LocalHostPlace) => readonly HostPluginModule[];
  /** From where specifiers of plugins and data-plane modules are resolved: usually `import.meta.url`. Defaults to this package. */
  readonly resolveFrom?: string;
}

/** How a datacenter reaches a host on this machine: what `createDatacenter` takes as a host link. */
export interface LocalHost {
  readonly name: string;
  open(options: {
    readonly datacenter: string;
    readonly directory: string;
    readonly ephemeral: boolean;
    readonly signal: AbortSignal;
  }): Promise<LocalHostConnection>;
  sweep(options: { readonly directory: string }): Promise<void>;
}

/** A host on this machine that answers. */
export interface LocalHostConnection {
  providers(): readonly { readonly point: string; readonly name: string }[];
  provider<T>(point: ExtensionPoint<T>, name: string): T;
  readonly closed: Promise<string>;
  close(options: { readonly stop: boolean }): Promise<void>;
}

/**
 * A host on this machine: a runtime in a process of its own, in a folder of its own. Several of them on one machine are told apart by their folders alone, and
 * reach each other over the loopback network.
 *
 * @example
 * ```ts
 * const host = localHost({
 *   name: "alpha",
 *   resolveFrom: import.meta.url,
 *   plugins: ({ name, directory }) => [{ module: "@vdc-os/plugin-qemu", config: { name, directory } }],
 * });
 * ```
 */
export function localHost(options: LocalHostOptions): LocalHost {
  const { name, address, failureDomain = name, plugins, resolveFrom } = options;
  return {
    name,
    async open({ directory, ephemeral, signal }) {
      const connection = await spawnHostRuntime({
        directory,
        hostId: name,
        failureDomain,
        ephemeral,
        signal,
        plugins: plugins?.({ name, directory }) ?? [],
        ...(address === undefined ? {} : { address }),
        ...(resolveFrom === undefined ? {} : { resolveFrom }),
      });
      return connectionOf(connection, directory);
    },
    async sweep({ directory }) {
      await sweepHostDirectory(directory);
    },
  };
}

function connectionOf(host: HostRuntimeConnection, directory: string): LocalHostConnection {
  return {
    providers: () => [
      { point: hostRuntime.id, name: host.hostId },
      ...host.connection.peer.providers.filter(({ point }) => point !== hostRuntime.id),
    ],
    provider: (point, name) => host.connection.proxy(point, name),
    closed: host.closed.then((reason) => (reason instanceof Error ? reason.message : "the connection was closed")),
    async close({ stop }) {
      if (!stop) return host.close();
      await host.stop({ removeProcesses: true }).catch(() => {});
      // Also what a runtime that did not answer has left.
      await sweepHostDirectory(directory);
    },
  };
}
