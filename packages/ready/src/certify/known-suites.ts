import type { Contract } from "@vdc-os/core";
import type { Instance, Suite } from "../suite/suite.ts";

/** A suite of any point, as the machinery handles it: what it is for was checked where it was defined. */
export type AnySuite = Suite<Contract, Instance<Contract>>;

/** A point that the kit has a suite for. */
export interface KnownSuite {
  /** The suite's name: what `vdcReady` in a package.json, and a requirement's id, begin with. */
  readonly name: string;
  readonly point: string;
  load(): Promise<AnySuite>;
}

// A suite is an invariant type: one of another contract is none of `Contract`. The cast is right since a suite calls what it is given alone.
const erase = (suite: object): AnySuite => suite as unknown as AnySuite;

/** The suites of the kit. Each is loaded when it is asked for. */
export const knownSuites: readonly KnownSuite[] = [
  {
    name: "storage",
    point: "vdc.storage",
    load: async () => erase((await import("../storage/storage-suite.ts")).storageSuite),
  },
  {
    name: "network",
    point: "vdc.network",
    load: async () => erase((await import("../network/network-suite.ts")).networkSuite),
  },
  {
    name: "compute",
    point: "vdc.compute",
    load: async () => erase((await import("../compute/compute-suite.ts")).computeSuite),
  },
  {
    name: "cloud",
    point: "vdc.cloud",
    load: async () => erase((await import("../cloud/cloud-suite.ts")).cloudSuite),
  },
  {
    name: "state",
    point: "vdc.state",
    load: async () => erase((await import("../state/state-suite.ts")).stateSuite),
  },
  {
    name: "secret",
    point: "vdc.secret",
    load: async () => erase((await import("../secret/secret-suite.ts")).secretSuite),
  },
  {
    name: "backup",
    point: "vdc.backup",
    load: async () => erase((await import("../backup/backup-suite.ts")).backupSuite),
  },
  {
    name: "host",
    point: "vdc.host",
    load: async () => erase((await import("../host/host-suite.ts")).hostSuite),
  },
];
