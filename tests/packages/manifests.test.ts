import { expect, it } from "vitest";
import { read, readWorkspace } from "../architecture/source-tree.ts";
import { allowedDependencies } from "./allowed-dependencies.ts";

/** A package.json as it is written. */
interface SourceManifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly description?: string;
  readonly license?: string;
  readonly type?: string;
  readonly sideEffects?: boolean;
  readonly repository?: { readonly type?: string; readonly url?: string; readonly directory?: string };
  readonly engines?: { readonly node?: string };
  readonly scripts?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly publishConfig?: {
    readonly access?: string;
    readonly bin?: Readonly<Record<string, string>>;
    readonly exports?: Readonly<Record<string, unknown>>;
  };
  readonly files?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** Where the sources are; a package's page links to it, and provenance is held against it. */
const repository = "git+https://github.com/vdc-os/vdc-os.git";

const published = readWorkspace()
  .map(({ directory }) => ({
    directory,
    manifest: JSON.parse(read(`${directory}/package.json`)) as SourceManifest,
  }))
  .filter(({ manifest }) => manifest.private !== true);

/** Everything that a rule finds, each with the package's name before it. */
function violations(
  rule: (manifest: SourceManifest, directory: string) => readonly (string | false)[],
): readonly string[] {
  return published.flatMap(({ directory, manifest }) =>
    rule(manifest, directory)
      .filter((found) => found !== false)
      .map((found) => `${directory}/package.json: ${found}`),
  );
}

it("there are packages to publish", () => {
  expect(published.length).toBeGreaterThan(20);
});

it("each package says whose it is, where its source is, and on what it runs", () => {
  const found = violations(({ description, license, repository: source, engines, publishConfig }, directory) => [
    (description ?? "") === "" && "has no 'description'",
    license !== "Apache-2.0" && "'license' must be 'Apache-2.0'",
    (source?.type !== "git" || source.url !== repository) &&
      `'repository' must be { "type": "git", "url": "${repository}", "directory": "${directory}" }`,
    source?.directory !== directory && `'repository.directory' must be '${directory}'`,
    !/^>=22\.\d+$/.test(engines?.node ?? "") && "'engines.node' must be the oldest Node.js that it is tested on",
    publishConfig?.access !== "public" && "'publishConfig.access' must be 'public'",
  ]);
  expect(found).toEqual([]);
});

it("each package is a set of ES modules, closed but for its exports, and its manifest can be read", () => {
  const found = violations(({ type, sideEffects, exports, publishConfig, files = [], bin, scripts = {} }) => [
    type !== "module" && "'type' must be 'module'",
    sideEffects !== false && "'sideEffects' must be false: a module that is not used is left out",
    exports?.["./package.json"] !== "./package.json" && `'exports' must have "./package.json"`,
    publishConfig?.exports?.["./package.json"] !== "./package.json" &&
      `'publishConfig.exports' must have "./package.json"`,
    Object.keys(exports ?? {}).some((path) => path === "./*" || path.startsWith("./src")) &&
      "'exports' must not open the package's inside",
    !["dist", "README.md", "LICENSE"].every((name) => files.includes(name)) &&
      "'files' must have 'dist', 'README.md' and 'LICENSE'",
    files.includes("src") &&
      !files.includes("!src/**/*.test.ts") &&
      "'files' must leave tests out: '!src/**/*.test.ts'",
    Object.keys(bin ?? {}).join() !== Object.keys(publishConfig?.bin ?? {}).join() &&
      "'bin' must be in 'publishConfig' as well, from 'dist'",
    ...Object.keys(scripts)
      .filter((name) => /^(pre|post)?(install|prepare|publish|pack)$/.test(name))
      .map((name) => `must not have the script '${name}': installing a package runs nothing`),
  ]);
  expect(found).toEqual([]);
});

it("no package makes its users install more than was agreed", () => {
  const found = violations((manifest) => {
    const { name, dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta = {} } = manifest;
    const all = Object.entries({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    return all.map(([other, range]) => {
      if (other.startsWith("@vdc-os/"))
        return range !== "workspace:^" && `depends on '${other}' as '${range}', not 'workspace:^'`;
      const allowed = allowedDependencies.find((entry) => entry.name === other);
      if (allowed === undefined || (allowed.packages !== "any" && !allowed.packages.includes(name))) {
        return `depends on '${other}'. If that is worth it, add it to tests/packages/allowed-dependencies.ts, with the reason`;
      }
      if (!/^(\^|>=)\d/.test(range)) return `depends on '${other}' as '${range}': let its users share a copy, with '^'`;
      const isOptionalPeer = other in (peerDependencies ?? {}) && peerDependenciesMeta[other]?.optional !== true;
      return isOptionalPeer && `the peer '${other}' must be optional: only '@vdc-os/core' is asked of everybody`;
    });
  });
  expect(found).toEqual([]);
});

it("nothing is on the list that nobody needs", () => {
  const used = new Set(
    published.flatMap(({ manifest }) =>
      Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies }),
    ),
  );
  expect(allowedDependencies.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([]);
});
