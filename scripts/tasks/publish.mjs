// Builds every published package and publishes those whose version the registry does not have, with tags for git. It is for the workflow 'release':
// what is published by hand has no provenance.
import { join } from "node:path";
import { runInForeground } from "../setup/child-process.mjs";
import { rootDirectory } from "../setup/paths.mjs";

if (process.env.NPM_CONFIG_PROVENANCE !== "true" && !process.argv.includes("--dry-run")) {
  console.error(
    "Packages are published by the workflow 'release' alone, so that each says from which commit it was made.",
  );
  process.exit(1);
}
await import("./build.mjs");
const changeset = join(rootDirectory, "node_modules/@changesets/cli/bin.js");
if (process.argv.includes("--dry-run")) console.log("Not published: this was a dry run.");
else process.exitCode = await runInForeground(process.execPath, [changeset, "publish"], { cwd: rootDirectory });
