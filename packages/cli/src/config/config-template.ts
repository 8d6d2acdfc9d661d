/** Packages that the written config imports. */
export const templatePackages: readonly string[] = [
  "@vdc-os/cli",
  "@vdc-os/core",
  "@vdc-os/host",
  "@vdc-os/plugin-data-recovery",
  "@vdc-os/plugin-file-secret-store",
  "@vdc-os/plugin-linked-clones",
  "@vdc-os/plugin-sqlite-state-store",
  "@vdc-os/plugin-thin-provisioning",
];

/** The config module that `vdc init` writes. It is JavaScript and TypeScript alike. */
export const configTemplate: string = `// The datacenter that the 'vdc' command opens. All of it lies in the folder '.vdc' beside this file.
import { join } from "node:path";
import { defineDatacenterConfig } from "@vdc-os/cli";
import { use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import dataRecovery from "@vdc-os/plugin-data-recovery";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";

export default defineDatacenterConfig(({ folder }) => ({
  // Keep this path short: Unix sockets lie below it.
  directory: ".vdc/datacenter",

  plugins: ({ uid, directory }) => [
    // What the datacenter knows, in SQLite; and its secrets, whose key lies apart from them.
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, {
      config: { path: join(directory, "secrets"), keyFile: join(folder, ".vdc/secrets.key"), createKeyFile: true },
    }),

    // Storage 'thin': qcow2 volumes that take space only for what was written, with snapshots and changed blocks.
    // 'capacityBytes' limits what they take in all, 'maxOverSubscription' how much more than that may be promised.
    use(thinProvisioning, {
      config: { name: "thin", directory: join(directory, "pool"), datacenter: uid, maxOverSubscription: 4 },
    }),

    // Storage 'clones': linked clones of golden volumes, in the same pool.
    use(linkedClones, { config: { name: "clones", base: "thin" } }),

    // Recovery points of volumes and VMs. A repository on another disk than the pool survives the loss of the pool.
    use(dataRecovery, { config: { name: "backup", directory: join(folder, ".vdc/backup"), host: "local" } }),
  ],

  hosts: [
    // This machine. With '@vdc-os/plugin-qemu' among its plugins it runs VMs:
    //   plugins: ({ name, directory }) => [{ module: "@vdc-os/plugin-qemu", config: { name, directory } }],
    // On switches of Open vSwitch or OVN its config also has 'openVswitch': "unix:/run/openvswitch/db.sock".
    localHost({ name: "local", resolveFrom: import.meta.url }),
  ],
}));
`;
