import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "@vdc-os/core";
import { use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import dataRecovery from "@vdc-os/plugin-data-recovery";
import distributedSwitch from "@vdc-os/plugin-distributed-switch";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { createDatacenter, type Datacenter, type DatacenterMode, type Quotas } from "@vdc-os/sdk";

/** The hosts of the datacenter. */
export const hostNames: readonly string[] = ["h1", "h2"];

/** Options of {@link openRealDatacenter}. */
export interface OpenRealDatacenterOptions {
  readonly directory: string;
  /** A folder for the key of the secrets. */
  readonly outside: string;
  /** Thin pools beside the first one, by name. Defaults to none. */
  readonly pools?: readonly string[];
  /** A folder outside for a backup repository, `repository`. Defaults to none. */
  readonly repository?: string;
  /** Whether the hosts have a hypervisor: QEMU. */
  readonly virtualMachines: boolean;
  /** Defaults to `durable`. */
  readonly mode?: DatacenterMode;
  /** What a host has for VMs, in bytes. Defaults to 512 MiB. */
  readonly hostMemoryBytes?: number;
  readonly quotas?: Quotas;
  readonly logger?: Logger;
}

/** A datacenter of real parts: SQLite, a thin pool with linked clones on top, the userspace switch, and two hosts, with QEMU if asked for. */
export async function openRealDatacenter(options: OpenRealDatacenterOptions): Promise<Datacenter> {
  const {
    directory,
    outside,
    virtualMachines,
    pools = [],
    repository,
    mode = "durable",
    hostMemoryBytes = 512 << 20,
    quotas,
    logger,
  } = options;
  await mkdir(outside, { recursive: true, mode: 0o700 });
  return createDatacenter({
    directory,
    mode,
    plugins: [
      use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
      use(fileSecretStore, {
        config: { path: join(directory, "secrets"), keyFile: join(outside, "key"), createKeyFile: true },
      }),
      use(thinProvisioning, { config: { name: "thin", directory: join(directory, "pool") } }),
      ...pools.map((name) => use(thinProvisioning, { id: name, config: { name, directory: join(directory, name) } })),
      use(linkedClones, { config: { name: "storage", base: "thin" } }),
      use(distributedSwitch, { config: { name: "network" } }),
      ...(repository === undefined
        ? []
        : [use(dataRecovery, { config: { name: "repository", directory: repository, host: hostNames[0] ?? "" } })]),
    ],
    hosts: hostNames.map((name) =>
      localHost({
        name,
        resolveFrom: import.meta.url,
        plugins: (place) =>
          virtualMachines
            ? [
                {
                  module: "@vdc-os/plugin-qemu",
                  // TCG, so that no probe takes its time, and all machines do the same.
                  config: {
                    name: place.name,
                    directory: place.directory,
                    accelerator: "tcg",
                    cpus: 16,
                    memoryBytes: hostMemoryBytes,
                  },
                },
              ]
            : [],
      }),
    ),
    ...(quotas === undefined ? {} : { quotas }),
    ...(logger === undefined ? {} : { logger }),
  });
}
