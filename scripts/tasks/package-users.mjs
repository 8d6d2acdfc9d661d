// Provides what the users of the published packages may have, and prints where it is, as JSON: installers, and versions of TypeScript.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installNpmPackages, isReady } from "../setup/npm-packages.mjs";
import { rootDirectory, toolchainDirectory } from "../setup/paths.mjs";
import { provideToolchain } from "../setup/toolchain.mjs";

const lockfile = "scripts/toolchain/package-users";
const { dependencies } = JSON.parse(readFileSync(join(rootDirectory, lockfile, "package.json"), "utf8"));
const typescripts = Object.keys(dependencies).filter((name) => name.startsWith("typescript-"));
const versions = Object.values(dependencies).map((wanted) => wanted.replace(/^npm:.*@/, ""));
const directory = join(toolchainDirectory, `package-users-${versions.join("-")}`);
const script = {
  yarn: "node_modules/yarn/bin/yarn.js",
  berry: "node_modules/@yarnpkg/cli-dist/bin/yarn.js",
  ...Object.fromEntries(typescripts.map((name) => [name, `node_modules/${name}/bin/tsc`])),
};
const paths = Object.values(script);
if (!isReady(directory, paths)) await installNpmPackages({ directory, paths, lockfile });
const { pnpm } = await provideToolchain();
console.log(
  JSON.stringify({
    pnpm,
    yarn: join(directory, script.yarn),
    berry: join(directory, script.berry),
    typescripts: typescripts.map((name) => ({
      version: name.slice("typescript-".length),
      tsc: join(directory, script[name]),
    })),
  }),
);
