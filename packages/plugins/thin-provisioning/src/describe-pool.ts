import type { Description, FacetAvailability, JsonObject, Scope } from "@vdc-os/core";
import { maxDepth } from "./chain-depth.ts";
import { changeGranularityBytes } from "./change-bitmap.ts";
import { maxCheckpoints } from "./changed-blocks.ts";
import { cipher } from "./encryption.ts";
import { holdTimeoutMs } from "./group-snapshots.ts";
import { maxSnapshots } from "./layer-changes.ts";
import type { ThinPool } from "./thin-pool.ts";

/** The package's version. */
export const packageVersion = "0.1.0";

const absent: Readonly<Record<string, string>> = {
  clones: "put '@vdc-os/plugin-linked-clones' on top of this provider",
  lineage: "put '@vdc-os/plugin-linked-clones' on top of this provider",
  epochs: "the data path holds no write back",
  replicate: "there is no replication",
  migrate: "there is one pool, on one folder",
};

const engine = "the qcow2 engine, checked against QEMU's tools by its tests";
const path = "the storage process that every write goes through; its tests kill it while it is written to";

/** What a pool says of itself. */
export function describePool(pool: ThinPool, scope: Scope): Description {
  const foreign =
    scope.pool !== undefined && scope.pool !== pool.name
      ? `there is no pool '${scope.pool}' here`
      : scope.host !== undefined && pool.accessibleHosts?.includes(scope.host) === false
        ? `host '${scope.host}' does not see the pool's folder`
        : undefined;
  const available = (limits: JsonObject, evidence: string): FacetAvailability =>
    foreign === undefined ? { status: "available", limits, evidence } : { status: "unavailable", reason: foreign };
  return {
    implementation: { name: "@vdc-os/plugin-thin-provisioning", version: packageVersion, simulated: false },
    facets: {
      resize: available({ online: true, shrink: false }, engine),
      snapshots: available({ maxSnapshots, restoreOnlyLatest: false, revert: true, read: true }, path),
      layering: available({ maxDepth, parents: ["volume", "snapshot"] }, engine),
      changedBlocks: available({ granularityBytes: changeGranularityBytes, survivesCrash: true, maxCheckpoints }, path),
      discard: available({ online: true, detectZeroes: "parameter 'detectZeroes' of a volume" }, engine),
      qos: available({ maxIops: 0, maxBytesPerSecond: 0 }, path),
      groupSnapshots: available({ acrossHosts: true, maxHoldMs: holdTimeoutMs }, path),
      importExport: available({ importFormats: ["raw", "qcow2"], exportFormats: ["raw", "qcow2"] }, engine),
      encryption: pool.keys.hasStore
        ? available({ ciphers: [cipher], onlineRotation: true }, engine)
        : { status: "unavailable", reason: "there is no secret store that keeps the keys" },
      ...Object.fromEntries(
        Object.entries(absent).map(([name, reason]): [string, FacetAvailability] => [
          name,
          { status: "unavailable", reason },
        ]),
      ),
    },
    attributes: {
      fencing: "enforced",
      pool: pool.name,
      poolId: pool.poolId,
      format: "qcow2",
      thin: true,
      encryptedAtRest: pool.encryptsEverything,
      outOfSpace: pool.outOfSpace === "pause" ? "pause" : "report",
      ...(pool.accessibleHosts === undefined ? {} : { accessibleHosts: [...pool.accessibleHosts] }),
    },
  };
}
