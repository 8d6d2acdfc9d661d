import type { Description, FacetAvailability, Scope } from "@vdc-os/core";
import type { ThinPool } from "./thin-pool.ts";

/** The package's version. */
export const packageVersion = "0.1.0";

const absent: Readonly<Record<string, string>> = {
  snapshots: "this provider makes no snapshots",
  clones: "put '@vdc-os/plugin-linked-clones' on top of this provider",
  lineage: "put '@vdc-os/plugin-linked-clones' on top of this provider",
  changedBlocks: "changes are not tracked",
  discard:
    "what a guest gives up is reused inside the image, and the unused tail goes back to the file system at detach; Node.js has no call that punches holes",
  qos: "the data path has no throttle",
  encryption: "images are not encrypted",
  groupSnapshots: "this provider makes no snapshots",
  epochs: "the data path holds no write back",
  replicate: "there is no replication",
  migrate: "there is one pool, on one folder",
};

/** What a pool says of itself. */
export function describePool(pool: ThinPool, scope: Scope): Description {
  const foreign =
    scope.pool !== undefined && scope.pool !== pool.name
      ? `there is no pool '${scope.pool}' here`
      : scope.host !== undefined && pool.accessibleHosts?.includes(scope.host) === false
        ? `host '${scope.host}' does not see the pool's folder`
        : undefined;
  const evidence = "part of the qcow2 engine, checked against QEMU's tools by its tests";
  const available = (limits: Extract<FacetAvailability, { status: "available" }>["limits"]): FacetAvailability =>
    foreign === undefined ? { status: "available", limits, evidence } : { status: "unavailable", reason: foreign };
  return {
    implementation: { name: "@vdc-os/plugin-thin-provisioning", version: packageVersion, simulated: false },
    facets: {
      resize: available({ online: false, shrink: false }),
      layering: available({ maxDepth: 250 }),
      importExport: available({ importFormats: ["raw", "qcow2"], exportFormats: ["raw", "qcow2"] }),
      ...Object.fromEntries(
        Object.entries(absent).map(([name, reason]): [string, FacetAvailability] => [
          name,
          { status: "unavailable", reason },
        ]),
      ),
    },
    attributes: { fencing: "enforced", pool: pool.name, poolId: pool.poolId, format: "qcow2", thin: true },
  };
}
