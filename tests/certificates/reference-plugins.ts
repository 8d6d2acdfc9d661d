/** A plugin of the repository, and what it is certified with. */
export interface ReferencePlugin {
  /** The folder of `packages/plugins`. */
  readonly name: string;
  /** The factory of each suite that it is held against, by the suite's name: a module beside this one. */
  readonly factories: Readonly<Record<string, string>>;
  /** The module of the plugin, where it is not the package's main one. */
  readonly plugin?: string;
  /** What has to be on the machine, as `missingPrograms` of the setup knows it. */
  readonly programs?: readonly string[];
  /** Whether it takes so long that it is certified in the deep run, and by name. */
  readonly deep?: boolean;
  /** What the certificate does not speak of. */
  readonly note?: string;
}

const simulated = ["storage", "network", "compute", "host", "cloud", "state", "secret"];

/** Every reference plugin. */
export const referencePlugins: readonly ReferencePlugin[] = [
  { name: "sqlite-state-store", factories: { state: "sqlite-state-store.ts" } },
  { name: "file-secret-store", factories: { secret: "file-secret-store.ts" } },
  { name: "external-cloud", factories: { cloud: "external-cloud.ts" } },
  {
    name: "simulator",
    plugin: "simulator/plugin.ts",
    factories: Object.fromEntries(simulated.map((suite) => [suite, `simulator/${suite}.ts`])),
  },
  { name: "csi", factories: { storage: "csi.ts" }, note: "over our own CSI driver, by gRPC" },
  { name: "reflink", factories: { storage: "reflink.ts" }, programs: ["mkfs.xfs", "mount"], note: "on XFS" },
  { name: "thin-provisioning", factories: { storage: "thin-provisioning.ts" }, deep: true, note: "encrypted" },
  { name: "linked-clones", factories: { storage: "linked-clones.ts" }, deep: true, note: "over thin provisioning" },
  { name: "data-recovery", factories: { backup: "data-recovery.ts" }, deep: true, note: "over thin provisioning" },
  { name: "distributed-switch", factories: { network: "distributed-switch.ts" } },
  {
    name: "openvswitch",
    factories: { network: "openvswitch.ts" },
    programs: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl"],
    note: "with its userspace datapath",
  },
  {
    name: "ovn",
    factories: { network: "ovn.ts" },
    programs: ["ovn-northd", "ovn-controller", "ovs-vswitchd"],
    note: "two chassis, userspace datapath",
  },
  { name: "qemu", factories: { compute: "qemu.ts" }, programs: ["qemu-system-x86_64"], note: "under TCG" },
];
