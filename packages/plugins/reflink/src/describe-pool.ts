import type { Description, FacetAvailability, Scope } from "@vdc-os/core";
import type { ReflinkPool } from "./reflink-pool.ts";

/** The package's version. */
export const packageVersion = "0.1.0";

const noDataPath = "the VM monitor opens the file itself: nothing of this provider is on its data path";

const absent: Readonly<Record<string, string>> = {
  layering: "volumes share blocks through the file system, not through each other",
  lineage: "the file system counts who shares a block, and does not tell",
  changedBlocks: noDataPath,
  discard: noDataPath,
  qos: noDataPath,
  encryption: "files are not encrypted",
  groupSnapshots: "the file system clones one file at a time",
  epochs: noDataPath,
  replicate: "there is no replication",
  migrate: "there is one pool, on one folder",
};

/** What a pool says of itself. */
export function describePool(pool: ReflinkPool, scope: Scope): Description {
  const foreign =
    scope.pool !== undefined && scope.pool !== pool.name
      ? `there is no pool '${scope.pool}' here`
      : scope.host !== undefined && pool.accessibleHosts?.includes(scope.host) === false
        ? `host '${scope.host}' does not see the pool's folder`
        : undefined;
  const available = (
    limits: Extract<FacetAvailability, { status: "available" }>["limits"],
    evidence: string,
  ): FacetAvailability =>
    foreign === undefined ? { status: "available", limits, evidence } : { status: "unavailable", reason: foreign };
  const sharing = (limits: Extract<FacetAvailability, { status: "available" }>["limits"]): FacetAvailability =>
    pool.sharing.shares
      ? available(limits, "a file was cloned in the pool's folder when it was opened (FICLONE)")
      : { status: "unavailable", reason: pool.sharing.reason };
  return {
    implementation: { name: "@vdc-os/plugin-reflink", version: packageVersion, simulated: false },
    facets: {
      resize: available({ online: true, shrink: true }, "ftruncate(2)"),
      snapshots: sharing({ maxSnapshots: 0, restoreOnlyLatest: false, revert: true, read: true }),
      clones: sharing({ kinds: ["reflink", "full"], sources: ["volume", "snapshot"], maxDepth: 0, maxChildren: 0 }),
      importExport: available({ importFormats: ["raw"], exportFormats: ["raw"] }, "raw files are copied"),
      ...Object.fromEntries(
        Object.entries(absent).map(([name, reason]): [string, FacetAvailability] => [
          name,
          { status: "unavailable", reason },
        ]),
      ),
    },
    attributes: {
      fencing: "none",
      pool: pool.name,
      format: "raw",
      thin: true,
      outOfSpace: "report",
      ...(pool.accessibleHosts === undefined ? {} : { accessibleHosts: [...pool.accessibleHosts] }),
    },
  };
}
