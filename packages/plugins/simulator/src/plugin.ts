import { definePlugin, fromConfig, type Plugin, type PluginContext, type Provision, provides } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type SimulatorConfig, simulatorConfig } from "./config.ts";
import { SimulatedWorld } from "./world/simulated-world.ts";
import { simulatorName, simulatorVersion } from "./world/world-services.ts";

/** A point that the simulator provides. */
export type SimulatedPoint = "storage" | "network" | "compute" | "host" | "cloud" | "state" | "secret";

/** Every point, in the order in which they are provided. */
export const simulatedPoints: readonly SimulatedPoint[] = [
  "storage",
  "network",
  "compute",
  "host",
  "cloud",
  "state",
  "secret",
];

/** Options of {@link simulator}. */
export interface SimulatorOptions {
  /** Defaults to all. A kernel has one state store and one secret store, so leave out those that it has from elsewhere. */
  readonly points?: readonly SimulatedPoint[];
  /** The hosts, whose names the runtimes and hypervisors have. Defaults to `host-1`. */
  readonly hosts?: readonly string[];
  /** The world that it shows. Defaults to one of its own, made from the config's seed and latency, which ends with the plugin. */
  readonly world?: SimulatedWorld;
}

/**
 * A plugin that provides a simulated world. What it provides is said here and not in the config, because a plugin's manifest must be
 * readable before any of its code runs.
 *
 * @example
 * ```ts
 * const world = new SimulatedWorld({ clock });
 * const kernel = new Kernel({ plugins: [use(simulator({ world, points: ["storage", "network"] }))] });
 * ```
 */
export function simulator(options: SimulatorOptions = {}): Plugin {
  const { points = simulatedPoints, hosts = ["host-1"] } = options;
  return definePlugin<SimulatorConfig>({
    name: simulatorName,
    version: simulatorVersion,
    core: "0.1",
    summary: "SIMULATED: every extension point, in memory, for tests and for trying things out.",
    provides: points.flatMap((point) => provisionsOf(point, hosts)),
    config: simulatorConfig,
    async setup(context, config) {
      const world = options.world ?? (await ownWorld(context, config));
      for (const name of hosts) if (!world.hosts.includes(name)) world.addHost({ name });
      for (const point of points) provide(context, world, { point, name: config.name, hosts });
    },
  });
}

function provisionsOf(point: SimulatedPoint, hosts: readonly string[]): readonly Provision[] {
  const name = fromConfig("name");
  switch (point) {
    case "storage":
      return [provides(storageProvider, { name })];
    case "network":
      return [provides(distributedSwitch, { name })];
    case "compute":
      return hosts.map((host) => provides(hypervisor, { name: host }));
    case "host":
      return hosts.map((host) => provides(hostRuntime, { name: host }));
    case "cloud":
      return [provides(cloudConnector, { name })];
    case "state":
      return [provides(stateStore, { name })];
    case "secret":
      return [provides(secretStore, { name })];
  }
}

function ownWorld(context: PluginContext, { name, seed, latencyMs }: SimulatorConfig): Promise<SimulatedWorld> {
  return context.acquire(
    "simulated world",
    () =>
      new SimulatedWorld({
        name,
        clock: context.clock,
        ...(seed === undefined ? {} : { seed }),
        ...(latencyMs === undefined ? {} : { latencyMs }),
      }),
    (world) => world.dispose(),
  );
}

function provide(
  context: PluginContext,
  world: SimulatedWorld,
  what: { readonly point: SimulatedPoint; readonly name: string; readonly hosts: readonly string[] },
): void {
  const { point, name, hosts } = what;
  switch (point) {
    case "storage":
      context.provide(storageProvider, world.storage(name), { name });
      break;
    case "network":
      context.provide(distributedSwitch, world.network(name), { name });
      break;
    case "compute":
      for (const host of hosts) context.provide(hypervisor, world.hypervisor(host), { name: host });
      break;
    case "host":
      for (const host of hosts) context.provide(hostRuntime, world.hostRuntime(host), { name: host });
      break;
    case "cloud":
      context.provide(cloudConnector, world.cloud(name), { name });
      break;
    case "state":
      context.provide(stateStore, world.stateStore(name), { name });
      break;
    case "secret":
      context.provide(secretStore, world.secretStore(name), { name });
      break;
  }
}

const plugin: Plugin = simulator();

export default plugin;
