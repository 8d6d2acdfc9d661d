import type { Description, FacetAvailability, Scope } from "@vdc-os/core";
import type { CsiStorageConfig } from "../config.ts";
import type { DriverFacts } from "../driver/driver-connection.ts";
import { packageVersion } from "../package-version.ts";
import { controllerRpcs } from "../spec/controller-service.ts";

const absent: Readonly<Record<string, string>> = {
  layering: "CSI has no volumes that read others' blocks",
  lineage: "CSI does not say what shares blocks with what",
  changedBlocks: "CSI's SnapshotMetadata service is not used",
  discard: "CSI has no call that gives back what is unused",
  qos: "CSI has no limits on the data path",
  encryption: "CSI says nothing of encryption: it is the driver's affair",
  groupSnapshots: "CSI's GroupController service is not used",
  epochs: "the VM monitor opens what the driver publishes: nothing holds a write back",
  replicate: "CSI has no replication",
  importExport: "CSI reads and writes no image files",
  migrate: "CSI moves no volumes",
};

/** What is said of a driver: exactly what its three capability calls state, as they were answered last. */
export function describeDriver(
  config: CsiStorageConfig,
  facts: DriverFacts | string,
  { scope, fencing }: { readonly scope: Scope; readonly fencing: "detach" | "none" },
): Description {
  const foreign = foreignScope(config, scope);
  const facet = (
    rpcs: readonly (keyof typeof controllerRpcs)[],
    limits: Extract<FacetAvailability, { status: "available" }>["limits"],
  ): FacetAvailability => {
    if (foreign !== undefined) return { status: "unavailable", reason: foreign };
    if (typeof facts === "string") return { status: "unavailable", reason: facts };
    const evidence = `'ControllerGetCapabilities' of driver '${facts.name}' ${facts.version}`;
    if (rpcs.some((rpc) => facts.controllerRpcs.has(controllerRpcs[rpc]))) {
      return { status: "available", limits, evidence };
    }
    return { status: "unavailable", reason: `the driver does not have ${rpcs.map(wireName).join(" or ")}`, evidence };
  };
  const online = typeof facts !== "string" && facts.expandsOnline;
  return {
    implementation: { name: "@vdc-os/plugin-csi", version: packageVersion, simulated: false },
    facets: {
      ...Object.fromEntries(
        Object.entries(absent).map(([name, reason]): [string, FacetAvailability] => [
          name,
          { status: "unavailable", reason },
        ]),
      ),
      resize: facet(["expandVolume"], { online, shrink: false }),
      snapshots: facet(["createDeleteSnapshot"], {
        maxSnapshots: 0,
        restoreOnlyLatest: false,
        revert: "by a new volume of the snapshot, in the old one's place",
        attach: "by a temporary volume of the snapshot: for many drivers a copy",
        exclusiveBytes: "not told by CSI: 0",
      }),
      // A clone may share blocks inside; for everybody else it stands alone.
      clones: facet(["cloneVolume", "createDeleteSnapshot"], {
        kinds: ["full"],
        maxDepth: 0,
        maxChildren: 0,
        sources: sourcesOf(facts),
      }),
    },
    attributes: {
      fencing,
      pool: config.name,
      allocated: "not told by CSI: a volume counts with its whole size",
      ...(typeof facts === "string" ? {} : { driver: facts.name, driverVersion: facts.version }),
    },
  };
}

function sourcesOf(facts: DriverFacts | string): string[] {
  if (typeof facts === "string") return [];
  const { cloneVolume, createDeleteSnapshot } = controllerRpcs;
  return [
    ...(facts.controllerRpcs.has(cloneVolume) ? ["volume"] : []),
    ...(facts.controllerRpcs.has(createDeleteSnapshot) ? ["snapshot"] : []),
  ];
}

function foreignScope({ name, nodes }: CsiStorageConfig, { pool, host }: Scope): string | undefined {
  if (pool !== undefined && pool !== name) return `there is no pool '${pool}' here`;
  if (host !== undefined && !nodes.some((node) => node.host === host)) return `host '${host}' is no node of the driver`;
  return undefined;
}

function wireName(rpc: string): string {
  return rpc.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
