import type { AnyExtensionPoint } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";

/** The page that tells authors how an extension point is implemented. */
export interface Guide {
  readonly path: string;
  readonly point: AnyExtensionPoint;
}

/** One page for each extension point. */
export const guides: readonly Guide[] = [
  { path: "docs/write-a-storage-provider.md", point: storageProvider },
  { path: "docs/write-a-distributed-switch.md", point: distributedSwitch },
  { path: "docs/write-a-hypervisor.md", point: hypervisor },
  { path: "docs/write-a-cloud-connector.md", point: cloudConnector },
  { path: "docs/write-a-state-store.md", point: stateStore },
  { path: "docs/write-a-secret-store.md", point: secretStore },
  { path: "docs/write-a-backup-repository.md", point: backupRepository },
  { path: "docs/write-a-host-runtime.md", point: hostRuntime },
];

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

/** The rows that a page's table of operations must have, one space between words. */
export function operationRows({ operations }: AnyExtensionPoint): readonly string[] {
  return Object.entries(operations).map(([name, { summary, idempotent, errors }]) =>
    oneSpace(`| \`${name}\` | ${summary} | ${idempotent ? "yes" : "no"} | ${code(errors)} |`),
  );
}

/** The rows that a page's table of facets must have, one space between words. */
export function facetRows({ facets }: AnyExtensionPoint): readonly string[] {
  return Object.entries(facets).map(([name, operations]) => `| \`${name}\` | ${code(Object.keys(operations))} |`);
}

/** A line of a table as it is compared. */
export function oneSpace(line: string): string {
  return line.replace(/\s+/g, " ").trim();
}
