import { join } from "node:path";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import type { OpenVswitch } from "@vdc-os/ovsdb/testing";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { createDatacenter, type Datacenter } from "@vdc-os/sdk";

/** A host, and the Open vSwitch that its VMs are joined to. */
export interface BridgedHost {
  readonly name: string;
  readonly openVswitch: OpenVswitch;
}

/** Options of {@link openBridgedDatacenter}. */
export interface OpenBridgedDatacenterOptions {
  readonly directory: string;
  readonly hosts: readonly BridgedHost[];
  /** Provides the network 'network'. */
  readonly network: PluginRegistration;
}

/** A durable datacenter whose hosts have QEMU, and an Open vSwitch each. */
export async function openBridgedDatacenter(options: OpenBridgedDatacenterOptions): Promise<Datacenter> {
  const { directory, hosts, network } = options;
  return createDatacenter({
    directory,
    mode: "durable",
    plugins: [use(sqliteStateStore, { config: { directory: join(directory, "state") } }), network],
    hosts: hosts.map(({ name, openVswitch }) =>
      localHost({
        name,
        resolveFrom: import.meta.url,
        plugins: (place) => [
          {
            module: "@vdc-os/plugin-qemu",
            config: {
              name: place.name,
              directory: place.directory,
              accelerator: "tcg",
              cpus: 16,
              memoryBytes: 512 << 20,
              openVswitch: openVswitch.database.remote,
            },
          },
        ],
      }),
    ),
  });
}

/** The taps that are ports of a host's bridges, whatever made them. */
export async function tapsOf({ openVswitch }: BridgedHost): Promise<readonly string[]> {
  const text = await openVswitch.vsctl("--bare", "--columns=name", "list", "Interface");
  return text.split(/\s+/).filter((name) => name.startsWith("vdcq"));
}
