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

/** What only one of two reports has: of a declaration that both have, the lines that differ. */
function difference(name, before, after) {
  const [old, now] = [blocksOf(before), blocksOf(after)];
  const gone = [...old].filter(([key]) => !now.has(key));
  const come = [...now].filter(([key]) => !old.has(key));
  const headOf = ([key]) => key.split(/[{=:(<;]/, 1).join();
  const lines = [];
  for (const head of [...new Set([...gone, ...come].map(headOf))].sort()) {
    const [was, is] = [gone, come].map((all) => all.filter((one) => headOf(one) === head).map(([, block]) => block));
    if (was.length === 1 && is.length === 1 && is[0].includes("\n")) lines.push(...changedLines(was[0], is[0]));
    else lines.push(...was.map((block) => sign("-", block)), ...is.map((block) => sign("+", block)));
  }
  if (lines.length === 0 && before !== after) lines.push("the order differs");
  return lines.length === 0 ? [] : [`api-reports/${name}\n${lines.join("\n")}`];
}

/** A declaration's first line, and the lines of it that came or went. */
function changedLines(before, after) {
  const [was, is] = [before.split("\n"), after.split("\n")];
  const head = was[0] === is[0] ? [sign(" ", is[0])] : [];
  const minus = was.filter((line) => !is.includes(line)).map((line) => sign("-", line));
  const plus = is.filter((line) => !was.includes(line)).map((line) => sign("+", line));
  const order = minus.length + plus.length === 0 ? ["  (the order of its members)"] : [];
  return [...head, ...minus, ...plus, ...order];
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
