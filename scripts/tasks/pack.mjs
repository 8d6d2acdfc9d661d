// Builds every published package and packs it into the folder given, as it would be published: `publishConfig` applied, versions in
// place of `workspace:`, and the root's LICENSE inside. The last line is made for programs: a list of `{ name, tarball }` as JSON.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { runQuietly } from "../setup/child-process.mjs";
import "./build.mjs";
import { publishedPackages } from "./packages.mjs";

const folder = resolve(process.argv[2] ?? ".cache/packages");
mkdirSync(folder, { recursive: true });
const packed = publishedPackages().map(async ({ directory, manifest }) => {
  const tarball = join(folder, `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`);
  await runQuietly("pnpm", ["pack", "--silent", "--out", tarball], { cwd: directory });
  return { name: manifest.name, tarball };
});
console.log(JSON.stringify(await Promise.all(packed)));
