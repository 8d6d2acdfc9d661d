// Writes a report of the API of every published package into api-reports, or with `--check` says how they differ from what is there.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootDirectory } from "../setup/paths.mjs";
import { apiReport } from "./api-report.mjs";
import { publishedPackages } from "./packages.mjs";

const folder = join(rootDirectory, "api-reports");
const reports = new Map(
  publishedPackages().map((entry) => [`${entry.manifest.name.replace(/^@[^/]+\//, "")}.txt`, apiReport(entry)]),
);
mkdirSync(folder, { recursive: true });
const stale = readdirSync(folder).filter((name) => name.endsWith(".txt") && !reports.has(name));

if (process.argv.includes("--check")) {
  const differences = [...reports].flatMap(([name, text]) => {
    const path = join(folder, name);
    return difference(name, existsSync(path) ? readFileSync(path, "utf8") : "", text);
  });
  differences.push(...stale.map((name) => `api-reports/${name}: there is no such package any more`));
  if (differences.length > 0) {
    console.log(differences.join("\n\n"));
    console.log(
      "\nThe API of packages differs from api-reports. If that is meant, run 'npm run api', commit what it writes, and say in a " +
        "changeset what changes for their users. If it is not meant, keep these exports as they were.",
    );
    process.exitCode = 1;
  }
} else {
  let changed = 0;
  for (const [name, text] of reports) {
    const path = join(folder, name);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    writeFileSync(path, text);
    changed += 1;
  }
  for (const name of stale) rmSync(join(folder, name));
  console.log(`${reports.size} reports, ${changed + stale.length} of them changed`);
}

/** The blocks that only one of two reports has; what a declaration was is above what it is. */
function difference(name, before, after) {
  const [old, now] = [blocksOf(before), blocksOf(after)];
  const changes = [];
  for (const [key, block] of old) if (!now.has(key)) changes.push({ key, text: sign("-", block) });
  for (const [key, block] of now) if (!old.has(key)) changes.push({ key, text: sign("+", block) });
  const head = ({ key }) => key.split(/[{=:(<;]/, 1).join();
  changes.sort((a, b) => (head(a) < head(b) ? -1 : head(a) > head(b) ? 1 : 0));
  const lines = changes.map(({ text }) => text);
  if (lines.length === 0 && before !== after) lines.push("the order differs");
  return lines.length === 0 ? [] : [`api-reports/${name}\n${lines.join("\n")}`];
}

function blocksOf(text) {
  const blocks = new Map();
  let entry = "";
  for (const block of text.trim().split("\n\n")) {
    if (block.startsWith("=== ")) entry = block;
    blocks.set(`${entry.replace("=== ", "")} ${block}`, block);
  }
  return blocks;
}

function sign(mark, block) {
  return block.replace(/^/gm, `${mark} `);
}
