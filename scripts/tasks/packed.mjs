// Provides every published package as a tarball, packed once for each state of the sources, and prints `{ name, tarball }` of each as JSON.
// Several programs may ask at once: one packs, and the others wait for it.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout } from "node:timers/promises";
import { runQuietly } from "../setup/child-process.mjs";
import { cacheDirectory, rootDirectory } from "../setup/paths.mjs";
import { publishedPackages } from "./packages.mjs";

const place = join(cacheDirectory, "packed");
const lock = join(place, "lock");
const unusedAfterMs = 60 * 60_000;

/** @returns {Promise<readonly { name: string, tarball: string }[]>} */
async function providePacked() {
  mkdirSync(place, { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    const key = hashSources();
    const found = readPacked(key);
    if (found !== undefined) return found;
    if (!takeLock()) {
      // Each look reads every source file, which whoever packs just now would have to wait for.
      await setTimeout(1_000);
      continue;
    }
    try {
      removeUnused();
      const folder = join(place, key);
      rmSync(folder, { recursive: true, force: true });
      const printed = await runQuietly(process.execPath, [join(rootDirectory, "scripts/tasks/pack.mjs"), folder]);
      // What was edited meanwhile may be in some tarballs and not in others.
      if (hashSources() !== key && attempt < 3) continue;
      writeFileSync(join(folder, "packed.json"), printed.trim().split("\n").at(-1));
    } finally {
      rmSync(lock, { force: true });
    }
  }
}

function readPacked(key) {
  try {
    return JSON.parse(readFileSync(join(place, key, "packed.json"), "utf8"));
  } catch {
    return undefined;
  }
}

/** Whether the lock is ours now. One that a killed program left is removed. */
function takeLock() {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    try {
      const pid = Number(readFileSync(lock, "utf8"));
      if (pid > 0) process.kill(pid, 0);
    } catch (error) {
      if (error.code === "ESRCH") rmSync(lock, { force: true });
    }
    return false;
  }
}

function removeUnused() {
  for (const name of readdirSync(place)) {
    const path = join(place, name);
    const stats = statSync(path);
    if (stats.isDirectory() && Date.now() - stats.mtimeMs > unusedAfterMs)
      rmSync(path, { recursive: true, force: true });
  }
}

/** Of everything that a tarball is made of. */
function hashSources() {
  const hash = createHash("sha256");
  const add = (path) =>
    hash
      .update(`${relative(rootDirectory, path)}\0`)
      .update(readFileSync(path))
      .update("\0");
  const addFolder = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !["node_modules", "dist"].includes(entry.name)) addFolder(path);
      else if (entry.isFile()) add(path);
    }
  };
  for (const { directory } of publishedPackages()) addFolder(directory);
  addFolder(join(rootDirectory, "scripts/tasks"));
  for (const name of ["LICENSE", "tsconfig.json", "pnpm-lock.yaml"]) add(join(rootDirectory, name));
  return hash.digest("hex").slice(0, 20);
}

console.log(JSON.stringify(await providePacked()));
