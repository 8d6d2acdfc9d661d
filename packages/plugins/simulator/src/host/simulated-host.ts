import { type ExtensionPoint, toVdcError, VdcError } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import type { SimulatedWorld } from "../world/simulated-world.ts";

/** What a simulated host's runtime is opened with: the options of a datacenter's host link. */
export interface SimulatedHostOpenOptions {
  /** The datacenter's uid. */
  readonly datacenter: string;
  /** Ignored: a simulated host has no folder. */
  readonly directory: string;
  /** Whether what the datacenter has on the host goes when the connection is closed. */
  readonly ephemeral: boolean;
  readonly signal: AbortSignal;
}

/** A connection to a simulated host, as a datacenter uses it. */
export interface SimulatedHostConnection {
  providers(): readonly { readonly point: string; readonly name: string }[];
  provider<T>(point: ExtensionPoint<T>, name: string): T;
  readonly closed: Promise<string>;
  close(options: { readonly stop: boolean }): Promise<void>;
}

/** How a datacenter reaches a simulated host: the same shape as the links to real ones. */
export interface SimulatedHostLink {
  readonly name: string;
  open(options: SimulatedHostOpenOptions): Promise<SimulatedHostConnection>;
  sweep(options: { readonly directory: string; readonly datacenter: string | undefined }): Promise<void>;
}

/** Options of {@link simulatedHost}. */
export interface SimulatedHostOptions {
  readonly world: SimulatedWorld;
  /** A host of the world; one that it does not have is added. */
  readonly name: string;
}

/**
 * A host of a simulated world, for a datacenter: it provides the host's runtime and hypervisor under the host's name.
 *
 * @example
 * ```ts
 * const world = new SimulatedWorld();
 * const datacenter = await createDatacenter({ hosts: [simulatedHost({ world, name: "host-1" })], ... });
 * ```
 */
export function simulatedHost(options: SimulatedHostOptions): SimulatedHostLink {
  const { world, name } = options;
  if (!world.hosts.includes(name)) world.addHost({ name });
  const machine = world.host(name);
  const removeAll = (datacenter: string | undefined): void => {
    machine.hypervisor.removeAll(datacenter);
    machine.runtime.removeAll(datacenter);
  };
  return {
    name,
    async open({ datacenter, ephemeral, signal }) {
      if (signal.aborted) throw toVdcError(signal.reason);
      if (!machine.isUp) throw new VdcError("UNAVAILABLE", `simulated host '${name}' does not answer`);
      const closed = Promise.withResolvers<string>();
      const stopListening = machine.onDrop((reason) => {
        stopListening();
        closed.resolve(reason);
      });
      return {
        providers: () => [
          { point: hostRuntime.id, name },
          { point: hypervisor.id, name },
        ],
        provider<T>(point: ExtensionPoint<T>, provider: string): T {
          if (provider === name && point.id === hostRuntime.id) return world.hostRuntime(name) as T;
          if (provider === name && point.id === hypervisor.id) return world.hypervisor(name) as T;
          throw new VdcError("NOT_FOUND", `simulated host '${name}' provides no ${point.id} '${provider}'`);
        },
        closed: closed.promise,
        async close({ stop }) {
          stopListening();
          if (stop || ephemeral) removeAll(datacenter);
          closed.resolve("it was closed");
        },
      };
    },
    sweep: async ({ datacenter }) => removeAll(datacenter),
  };
}
