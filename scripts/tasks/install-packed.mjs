// Installs packed packages into a folder as a stranger does, with the npm that is there and the registry that it is set up for. What
// they depend on comes from npm's cache where it can. Arguments: the folder, then the tarballs.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runQuietly } from "../setup/child-process.mjs";
import { npmCommand, npmEnvironment } from "../setup/npm-packages.mjs";

const [folder, ...tarballs] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "package.json"), `${JSON.stringify({ name: "stranger", private: true, type: "module" })}\n`);
const { file, leading } = npmCommand();
const args = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
await runQuietly(file, [...leading, ...args, ...tarballs], { cwd: folder, env: npmEnvironment() });
