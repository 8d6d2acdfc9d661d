/** A point that there is a template for. */
export interface ExtensionPoint {
  readonly name: PointName;
  /** What a plugin of it does, for people. */
  readonly summary: string;
  /** The package that its template is named as. */
  readonly packageName: string;
  /** What the contract's module exports: the interface, and the token. */
  readonly contract: string;
  readonly token: string;
  /** The suite of `@vdc-os/ready`. */
  readonly suite: string;
  /**
   * How facets that are asked for come into the plugin: as `stubs` to be written, or `declared`, since the reference has them. `fixed`: there
   * is no choice: the contract has none, or the reference has all.
   */
  readonly facets: "stubs" | "declared" | "fixed";
  /** Whether the template has an implementation of its own, or begins with the kit's reference. */
  readonly begins: "own" | "reference";
  /** The file that stands for the author's own system, which comes in its place. */
  readonly standIn: string;
}

/** The names of the points. */
export type PointName = "storage" | "network" | "compute" | "cloud" | "state" | "secret" | "backup";

/** Every point, in the order in which it is asked. */
export const extensionPoints: readonly ExtensionPoint[] = [
  {
    name: "storage",
    summary: "volumes: a storage array, a file system, a cluster",
    packageName: "@acme/vdc-storage",
    contract: "StorageProvider",
    token: "storageProvider",
    suite: "storageSuite",
    facets: "stubs",
    begins: "own",
    standIn: "memory-array.ts",
  },
  {
    name: "network",
    summary: "switches: ports, port groups, uplinks",
    packageName: "@acme/vdc-network",
    contract: "DistributedSwitch",
    token: "distributedSwitch",
    suite: "networkSuite",
    facets: "fixed",
    begins: "reference",
    standIn: "acme-network.ts",
  },
  {
    name: "compute",
    summary: "virtual machines: a hypervisor",
    packageName: "@acme/vdc-compute",
    contract: "Hypervisor",
    token: "hypervisor",
    suite: "computeSuite",
    facets: "declared",
    begins: "reference",
    standIn: "acme-compute.ts",
  },
  {
    name: "cloud",
    summary: "instances of a cloud outside",
    packageName: "@acme/vdc-cloud",
    contract: "CloudConnector",
    token: "cloudConnector",
    suite: "cloudSuite",
    facets: "stubs",
    begins: "own",
    standIn: "memory-account.ts",
  },
  {
    name: "state",
    summary: "the datacenter's own state: a database",
    packageName: "@acme/vdc-state",
    contract: "StateStore",
    token: "stateStore",
    suite: "stateSuite",
    facets: "declared",
    begins: "reference",
    standIn: "acme-state.ts",
  },
  {
    name: "secret",
    summary: "secrets: a vault",
    packageName: "@acme/vdc-secret",
    contract: "SecretStore",
    token: "secretStore",
    suite: "secretSuite",
    facets: "fixed",
    begins: "own",
    standIn: "memory-vault.ts",
  },
  {
    name: "backup",
    summary: "recovery points of disks in use: a backup product",
    packageName: "@acme/vdc-backup",
    contract: "BackupRepository",
    token: "backupRepository",
    suite: "backupSuite",
    facets: "fixed",
    begins: "reference",
    standIn: "acme-backup.ts",
  },
];
