import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import distributedSwitch from "@vdc-os/plugin-distributed-switch";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { createDatacenter, type Datacenter, type DatacenterMode } from "@vdc-os/sdk";

/** Options of {@link openDatacenter}. */
export interface OpenDatacenterOptions {
  readonly directory: string;
  /** Where the key of the secrets is kept. */
  readonly keys: string;
  readonly name: string;
  readonly mode: DatacenterMode;
  readonly hosts: readonly string[];
  /** Plugins beside the ones that every datacenter here has. */
  readonly plugins?: readonly PluginRegistration[];
  readonly signal?: AbortSignal;
}

/**
 * A datacenter of real parts: SQLite, qcow2 volumes with linked clones on top, the userspace switch, and QEMU on each host. Storage `storage` is the linked clones,
 * on the thin pool `thin`; network `network` is the switch.
 */
export async function openDatacenter(options: OpenDatacenterOptions): Promise<Datacenter> {
  const { directory, keys, name, mode, hosts, plugins = [], signal } = options;
  await mkdir(keys, { recursive: true, mode: 0o700 });
  return createDatacenter({
    directory,
    name,
    mode,
    plugins: ({ uid, directory: place }) => [
      use(sqliteStateStore, { config: { directory: join(place, "state") } }),
      use(fileSecretStore, {
        config: { path: join(place, "secrets"), keyFile: join(keys, `${name}.key`), createKeyFile: true },
      }),
      use(thinProvisioning, { config: { name: "thin", directory: join(place, "pool"), datacenter: uid } }),
      use(linkedClones, { config: { name: "storage", base: "thin" } }),
      use(distributedSwitch, { config: { name: "network", datacenter: uid } }),
      ...plugins,
    ],
    hosts: hosts.map((host) =>
      localHost({
        name: host,
        resolveFrom: import.meta.url,
        plugins: (place) => [
          { module: "@vdc-os/plugin-qemu", config: { name: place.name, directory: place.directory } },
        ],
      }),
    ),
    ...(signal === undefined ? {} : { signal }),
  });
}
