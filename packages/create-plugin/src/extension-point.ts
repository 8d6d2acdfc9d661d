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
  /** The contract's type of its facets, which begin as stubs. `undefined`: the contract has none. */
  readonly facets: string | undefined;
  /** The file that stands for the author's own system, which comes in its place. */
  readonly standIn: string;
  /** What the plugin's config has besides `name` and `address`. */
  readonly config: readonly ConfigEntry[];
}

/** A part of a plugin's config. */
export interface ConfigEntry {
  readonly name: string;
  /** What it is, for people. */
  readonly summary: string;
  readonly example: string;
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
    facets: "StorageFacets",
    standIn: "memory-array.ts",
    config: [],
  },
  {
    name: "network",
    summary: "switches: ports, port groups, uplinks",
    packageName: "@acme/vdc-network",
    contract: "DistributedSwitch",
    token: "distributedSwitch",
    suite: "networkSuite",
    facets: "NetworkFacets",
    standIn: "memory-network.ts",
    config: [],
  },
  {
    name: "compute",
    summary: "virtual machines: a hypervisor",
    packageName: "@acme/vdc-compute",
    contract: "Hypervisor",
    token: "hypervisor",
    suite: "computeSuite",
    facets: "ComputeFacets",
    standIn: "memory-host.ts",
    config: [],
  },
  {
    name: "cloud",
    summary: "instances of a cloud outside",
    packageName: "@acme/vdc-cloud",
    contract: "CloudConnector",
    token: "cloudConnector",
    suite: "cloudSuite",
    facets: "CloudFacets",
    standIn: "memory-account.ts",
    config: [{ name: "token", summary: "who asks", example: "known" }],
  },
  {
    name: "state",
    summary: "the datacenter's own state: a database",
    packageName: "@acme/vdc-state",
    contract: "StateStore",
    token: "stateStore",
    suite: "stateSuite",
    facets: "StateStoreFacets",
    standIn: "memory-database.ts",
    config: [],
  },
  {
    name: "secret",
    summary: "secrets: a vault",
    packageName: "@acme/vdc-secret",
    contract: "SecretStore",
    token: "secretStore",
    suite: "secretSuite",
    facets: undefined,
    standIn: "memory-vault.ts",
    config: [],
  },
  {
    name: "backup",
    summary: "recovery points of disks in use: a backup product",
    packageName: "@acme/vdc-backup",
    contract: "BackupRepository",
    token: "backupRepository",
    suite: "backupSuite",
    facets: undefined,
    standIn: "memory-vault.ts",
    config: [{ name: "host", summary: "the host that disks are attached to meanwhile", example: "host-a" }],
  },
];
