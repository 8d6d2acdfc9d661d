import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { simulatedHost, SimulatedWorld, type SimulatedWorldOptions, simulator } from "@vdc-os/plugin-simulator";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { createDatacenter, type CreateDatacenterOptions, type Datacenter } from "@vdc-os/sdk";

/** Options of {@link openSimulatedDatacenter}. */
export interface OpenSimulatedDatacenterOptions {
  /** What each host has for VMs, in bytes; the hosts are `h1`, `h2` and so on. */
  readonly hostMemoryBytes: readonly number[];
  /** Where the state is kept. Defaults to `memory`. */
  readonly state?: "memory" | "sqlite";
  readonly world?: Omit<SimulatedWorldOptions, "hosts">;
  /** Storage besides `storage`, by name. */
  readonly storages?: readonly string[];
  /** Plugins besides. */
  readonly plugins?: readonly PluginRegistration[];
  /** What else the datacenter is to be told. */
  readonly more?: Partial<Pick<CreateDatacenterOptions, "storagePollIntervalMs" | "sweepIntervalMs">>;
}

/** An ephemeral datacenter with the real manager, and everything outside of it simulated. */
export interface SimulatedDatacenter extends AsyncDisposable {
  readonly dc: Datacenter;
  readonly world: SimulatedWorld;
  readonly hosts: readonly string[];
}

/** The plugin with the storage `storage`. */
export const storagePlugin = "simulator/storage";

/** Opens one in a folder of its own, with the storage `storage`, the network `network` and the cloud `cloud`. Disposing of it removes all that is left. */
export async function openSimulatedDatacenter(options: OpenSimulatedDatacenterOptions): Promise<SimulatedDatacenter> {
  const { hostMemoryBytes, state = "memory", storages = [], plugins = [], more = {} } = options;
  const folder = await mkdtemp(join(tmpdir(), "vdc-simulated-"));
  const directory = join(folder, "dc");
  const world = new SimulatedWorld({ bootMs: 1, ...options.world });
  const hosts = hostMemoryBytes.map((memoryBytes, index) => world.addHost({ name: `h${index + 1}`, memoryBytes }).name);
  const one = (point: "storage" | "network" | "cloud" | "state" | "secret"): PluginRegistration =>
    use(simulator({ world, points: [point], hosts: [] }), { id: `simulator/${point}`, config: { name: point } });
  const cleanUp = async (): Promise<void> => {
    world.dispose();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const dc = await createDatacenter({
      ...more,
      directory,
      mode: "ephemeral",
      plugins: [
        state === "sqlite" ? use(sqliteStateStore, { config: { directory: join(directory, "state") } }) : one("state"),
        one("secret"),
        one("storage"),
        ...storages.map((name) =>
          use(simulator({ world, points: ["storage"], hosts: [] }), { id: `simulator/${name}`, config: { name } }),
        ),
        one("network"),
        one("cloud"),
        ...plugins,
      ],
      hosts: hosts.map((name) => simulatedHost({ world, name })),
    });
    return {
      dc,
      world,
      hosts,
      async [Symbol.asyncDispose]() {
        // A test that failed half-way must not wait for what it made to fail.
        world.faults.clear();
        for (const host of hosts) world.host(host).restore();
        await dc.close();
        await cleanUp();
      },
    };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}
