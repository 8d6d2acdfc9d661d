import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Kernel, use } from "@vdc-os/core/kernel";
import { storageProvider, type VolumeTransport } from "@vdc-os/core/storage/v1";
import { type CsiServer, serveCsi, type VolumePresenter } from "@vdc-os/plugin-csi";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import type { CertificationKit } from "@vdc-os/ready";
import type { BlockClient, StorageInstance } from "@vdc-os/ready/storage";
import { startKillable } from "./killable-plugin.ts";

const hosts = ["host-1", "host-2"] as const;

/** What the storage suite is run on: the plugin over our own CSI driver, by gRPC over sockets, over simulated storage. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  return open(kit, new SimulatedWorld());
}

async function open(kit: CertificationKit, world: SimulatedWorld): Promise<StorageInstance> {
  kit.defer(() => world.dispose());
  const folder = kit.folder();
  const socketOf = (host: string): string => join(folder, `${host}.sock`);
  const below = new Kernel();
  below.provide(storageProvider, "below", world.storage());
  await below.start();
  kit.defer(() => below.stop().then(() => undefined));
  const servers: CsiServer[] = [];
  const serve = async (): Promise<void> => {
    for (const [index, host] of hosts.entries()) {
      const node = { nodeId: host, directory: join(folder, `${host}.node`), presenter };
      const controller = index === 0 ? { provider: below.get(storageProvider, "below"), nodeIds: hosts } : {};
      servers.push(await serveCsi({ socket: socketOf(host), node, ...controller }));
    }
  };
  const unserve = async (): Promise<void> => {
    for (const server of servers.splice(0)) await server.close();
  };
  await serve();
  kit.defer(unserve);
  const config = {
    name: "csi",
    endpoint: { socket: socketOf(hosts[0]) },
    nodes: hosts.map((host) => ({ host, endpoint: { socket: socketOf(host) } })),
    directory: join(folder, "volumes"),
  };
  const stateIn = (name: string) => [use(sqliteStateStore, { config: { directory: join(folder, name) } })];
  const plugins = stateIn("state");
  let running = await kit.start(storageProvider, { config, plugins });
  return {
    implementation: running.implementation,
    hosts,
    openTransport: (transport) => openPresented(world, transport),
    async reopen() {
      await running.stop();
      await unserve();
      await serve();
      running = await kit.start(storageProvider, { config, plugins });
      return running.implementation;
    },
    // Its driver goes on, as one that is on another machine would.
    async killable() {
      const killed = { config: { ...config, directory: join(folder, "killed") }, plugins: stateIn("killed-state") };
      const { implementation, kill } = await startKillable(kit, storageProvider, { name: config.name, ...killed });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(storageProvider, killed)).implementation;
        },
      };
    },
    imagePath: (name) => join(folder, name),
    // What serves a volume is in the simulator: what was written is there at once.
    killStorageProcess: async () => undefined,
    small: () => open(kit, new SimulatedWorld({ pool: { totalBytes: 32 << 20, maxOverSubscription: 8 } })),
  };
}

/** The simulator's data path is in its process: what is published is a file that says where. */
const presenter: VolumePresenter = {
  async present({ transport, path }) {
    await writeFile(path, JSON.stringify(transport), { flag: "wx" });
    return { kind: "link", path };
  },
  isPresent: ({ path }) =>
    stat(path).then(
      () => true,
      () => false,
    ),
  withdraw: ({ path }) => rm(path, { force: true }),
};

/** Opens what was published: the target's file names the staged one, and that the simulator's transport. */
async function openPresented(world: SimulatedWorld, transport: VolumeTransport): Promise<BlockClient> {
  let next = transport;
  while (next.kind === "file" || next.kind === "block") {
    next = JSON.parse(await readFile(next.path, "utf8")) as VolumeTransport;
  }
  return world.openTransport(next);
}
