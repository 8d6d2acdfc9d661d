import { type AnyExtensionPoint, coreVersion } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { expect, test } from "vitest";
import { read, readWorkspace } from "../architecture/source-tree.ts";
import { pageAt } from "./pages.ts";

const points: readonly AnyExtensionPoint[] = [
  storageProvider,
  distributedSwitch,
  hypervisor,
  cloudConnector,
  stateStore,
  secretStore,
  hostRuntime,
  backupRepository,
];

const page = pageAt("docs/compatibility.md");

test("docs/compatibility.md states the version of every contract", () => {
  const rows = page.prose.map((line) => line.replace(/\s+/g, " "));
  const missing = points.filter(({ id, version }) => !rows.some((row) => row.startsWith(`| \`${id}\` | ${version} |`)));
  expect(missing.map(({ id, version }) => `${id} ${version}`)).toEqual([]);
});

test("docs/compatibility.md states the Node.js that packages ask for", () => {
  const asked = readWorkspace()
    .filter(({ manifest, directory }) => manifest.private !== true && directory.startsWith("packages/"))
    .map(({ manifest }) => (manifest as { readonly engines?: { readonly node?: string } }).engines?.node);
  expect([...new Set(asked)]).toEqual([">=22.18"]);
  expect(page.prose.join("\n")).toContain("need Node.js 22.18 or newer");
});

test("core, sdk and ready have one version, and core says which", () => {
  const versions = ["core", "sdk", "ready"].map((name) => JSON.parse(read(`packages/${name}/package.json`)).version);
  expect(new Set([...versions, coreVersion])).toEqual(new Set([coreVersion]));
});
