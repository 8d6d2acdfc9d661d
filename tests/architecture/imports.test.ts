import { posix } from "node:path";
import { expect, test } from "vitest";
import { findModuleImports, findStarExports } from "./module-imports.ts";
import { listFiles, type PackageKind, read, readWorkspace, type WorkspacePackage } from "./source-tree.ts";

const scope = "@vdc-os/";

/** Imports point one way: what each kind of package may import of ours. */
const allowed: Readonly<Record<PackageKind, readonly PackageKind[] | "anything">> = {
  core: [],
  format: [],
  protocol: [],
  "guest-image": [],
  testing: [],
  "create-plugin": [],
  sdk: ["core"],
  host: ["core"],
  ready: ["core"],
  "api-client": ["core"],
  api: ["core", "sdk", "api-client", "plugin"],
  plugin: ["core", "format", "protocol", "api-client"],
  cli: ["core", "sdk", "host", "api", "api-client", "plugin", "format", "protocol"],
  consumer: "anything",
};

/**
 * What a package's own tests may import besides: a plugin is certified with the kit, on a real host, beside the plugins that it works with, with real guests.
 * None of it is published: devDependencies alone hold it.
 */
const allowedInTests: Readonly<Partial<Record<PackageKind, readonly PackageKind[]>>> = {
  plugin: ["ready", "host", "plugin", "guest-image", "testing", "api"],
  "guest-image": ["testing"],
  host: ["ready"],
  api: ["ready"],
  // A daemon that speaks two protocols is started for the tests of both by one of them.
  protocol: ["protocol", "testing"],
  format: ["testing"],
  cli: ["testing"],
  // Its templates are the plugins that it writes: what they import is not its own.
  "create-plugin": ["core", "ready"],
};

const workspace = readWorkspace();
const byName = new Map(workspace.map((entry) => [entry.manifest.name, entry]));

function isTest(path: string): boolean {
  return /\.test\.ts$|\.types\.test\.ts$|\.bench\.ts$|\/(test|bench|fixtures|templates)\//.test(path);
}

function packageName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function mayImport(from: WorkspacePackage, to: WorkspacePackage, inTest: boolean): boolean {
  if (from === to) return true;
  const kinds = allowed[from.kind];
  if (kinds === "anything") return true;
  return kinds.includes(to.kind) || (inTest && (allowedInTests[from.kind] ?? []).includes(to.kind));
}

test("imports point one way", () => {
  const violations: string[] = [];
  for (const from of workspace) {
    for (const path of from.sources) {
      for (const { specifier, line } of findModuleImports(path, read(path))) {
        if (specifier.startsWith(".")) {
          const target = posix.join(posix.dirname(path), specifier);
          if (!target.startsWith(`${from.directory}/`))
            violations.push(`${path}:${line} leaves its package: '${specifier}'`);
          continue;
        }
        if (!specifier.startsWith(scope)) continue;
        const to = byName.get(packageName(specifier));
        if (to === undefined) violations.push(`${path}:${line} imports '${specifier}', which is not in the workspace`);
        else if (!mayImport(from, to, isTest(path))) {
          violations.push(`${path}:${line} imports '${specifier}': ${from.kind} must not import ${to.kind}`);
        }
      }
    }
  }
  expect(violations).toEqual([]);
});

test("manifests point the same way as imports", () => {
  const violations: string[] = [];
  for (const from of workspace) {
    const { name, dependencies = {}, peerDependencies = {}, devDependencies = {} } = from.manifest;
    const check = (field: string, names: readonly string[], inTest: boolean): void => {
      for (const wanted of names.filter((each) => each.startsWith(scope))) {
        const to = byName.get(wanted);
        if (to === undefined) violations.push(`${name}: ${field} '${wanted}' is not in the workspace`);
        else if (!mayImport(from, to, inTest)) {
          violations.push(`${name}: ${field} '${wanted}': ${from.kind} must not depend on ${to.kind}`);
        }
      }
    };
    check("dependencies", Object.keys(dependencies), false);
    check("peerDependencies", Object.keys(peerDependencies), false);
    check("devDependencies", Object.keys(devDependencies), true);
  }
  expect(violations).toEqual([]);
});

test("what a package imports, its manifest names", () => {
  const violations: string[] = [];
  for (const from of workspace) {
    const { name, dependencies, peerDependencies, devDependencies } = from.manifest;
    const shipped = { ...dependencies, ...peerDependencies };
    const own = { ...shipped, ...devDependencies };
    for (const path of from.sources) {
      for (const { specifier, line } of findModuleImports(path, read(path))) {
        if (/^(\.|node:)/.test(specifier)) continue;
        const wanted = packageName(specifier);
        // The tools of the root (vitest, fast-check, ...) serve every test.
        if (wanted === name || (isTest(path) && !wanted.startsWith(scope)) || from.kind === "consumer") continue;
        if (!(wanted in (isTest(path) ? own : shipped))) {
          violations.push(`${path}:${line} imports '${specifier}', which '${name}' does not depend on`);
        }
      }
    }
  }
  expect(violations).toEqual([]);
});

test("every plugin shares the kernel of its application: core is a peer dependency", () => {
  const violations = workspace
    .filter((entry) => entry.kind === "plugin")
    .filter(({ manifest }) => {
      const isPeer = "@vdc-os/core" in (manifest.peerDependencies ?? {});
      return !isPeer || "@vdc-os/core" in (manifest.dependencies ?? {});
    })
    .map((entry) => entry.manifest.name);
  expect(violations).toEqual([]);
});

test("no package exports by star", () => {
  const violations = workspace.flatMap((entry) =>
    entry.sources.flatMap((path) => findStarExports(path, read(path)).map((line) => `${path}:${line}`)),
  );
  expect(violations).toEqual([]);
});

test("the pins of pnpm agree", () => {
  const { packageManager } = JSON.parse(read("package.json"));
  const { optionalDependencies } = JSON.parse(read("scripts/toolchain/package.json"));
  const versions = Object.entries<string>(optionalDependencies).filter(([name]) => name.startsWith("@pnpm/"));
  for (const [, version] of versions) expect(`pnpm@${version}`).toBe(packageManager);
});

test("the repository names no registry and no machine", () => {
  // Put together here, so that this file does not find itself.
  const absolute = ["work", "root", "opt", "home/[a-z]+", "Users/[A-Za-z]+"].map((name) => `(?<![\\w.~-])/${name}/`);
  const settings = ["_auth", "_authToken", "registry"].map((name) => `^\\s*(?:\\S*:)?${name}\\s*=`);
  const resolved = ['"resolved":\\s*"http', "\\btarball:\\s*http", "^\\s*registry:\\s*http"];
  const pattern = new RegExp([...absolute, ...settings, ...resolved].join("|"), "m");
  const violations: string[] = [];
  for (const path of listFiles()) {
    if (/\.(png|gz|raw|qcow2|vmdk|ova|bin)$/.test(path)) continue;
    const text = read(path);
    const match = pattern.exec(text);
    if (match === null) continue;
    const line = text.slice(0, match.index).split("\n").length;
    violations.push(`${path}:${line} '${match[0].trim()}'`);
  }
  expect(violations).toEqual([]);
});
