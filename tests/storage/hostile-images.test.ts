import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { lockPathOf } from "@vdc-os/qcow2";
import { expect, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";
import { type HostileCorpus, makeHostileCorpus } from "./hostile-corpus.ts";
import type { Attempt, HostileReport } from "./open-hostile-images.ts";

const missing = missingPrograms(["strace"], "which files a hostile image has opened is not tested");
const maxMs = 20_000;
const maxBytes = 512 * 1024 * 1024;

interface OpenedFile {
  readonly attempt: number;
  readonly path: string;
}

/** Runs the readers under `strace`, and returns what they say and which files they asked for. */
async function runWatched(
  corpus: HostileCorpus,
  base: string,
): Promise<{ readonly report: HostileReport; readonly opened: readonly OpenedFile[] }> {
  const log = join(base, "calls");
  const output = join(base, "out");
  mkdirSync(output);
  const program = fileURLToPath(new URL("./open-hostile-images.ts", import.meta.url));
  const watch = [
    "-f",
    "-qq",
    "--seccomp-bpf",
    "-s",
    "4096",
    "-e",
    "trace=open,openat,openat2,creat,connect",
    "-o",
    log,
  ];
  const command = [process.execPath, program, JSON.stringify(corpus), output];
  const child = spawn("strace", [...watch, ...command], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    expect(code).toBe(0);
    return { report: JSON.parse(said) as HostileReport, opened: openedIn(readFileSync(log, "utf8")) };
  } finally {
    child.kill("SIGKILL");
  }
}

/** The paths of a log, each with the attempt that it belongs to; also what could not be opened, since asking is enough. */
function openedIn(log: string): readonly OpenedFile[] {
  const opened: OpenedFile[] = [];
  let attempt = -1;
  for (const line of log.split("\n")) {
    if (line.includes("connect(")) opened.push({ attempt, path: line.slice(line.indexOf("connect(")) });
    const path = /\b(?:open|openat|openat2|creat)\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"/
      .exec(line)?.[1]
      ?.replace(/\\(["\\])/g, "$1");
    if (path === undefined) continue;
    const began = /^\/attempt\/(\d+)$/.exec(path)?.[1];
    if (began === undefined) opened.push({ attempt, path });
    else attempt = Number(began);
  }
  return opened;
}

test.skipIf(missing)(
  "hostile images give a coded error or work, in bounded time and memory, and open nothing that they name",
  async () => {
    const base = mkdtempSync(join(tmpdir(), "vdc-hostile-"));
    try {
      const corpus = await makeHostileCorpus(base);
      const { report, opened } = await runWatched(corpus, base);
      const { attempts, datastore } = report;

      const wrong: Attempt[] = attempts.filter(({ image, reader, outcome, elapsedMs }) => {
        const { expected } = corpus.images.find(({ name }) => name === image) ?? { expected: "either" };
        if (outcome === "uncoded" || elapsedMs > maxMs) return true;
        if (reader === "importVolume" && expected === "refused") return outcome === "works";
        return reader === "importVolume" && expected === "whole" && outcome !== "works";
      });
      expect(wrong).toEqual([]);
      expect(report.leftovers).toEqual([]);

      const allowedFor = ({ attempt, path }: OpenedFile): boolean => {
        const { image, reader } = attempts[attempt] ?? {};
        const given = corpus.images.find(({ name }) => name === image);
        // What Node.js and the engine ask of the machine, which no image names; and what a pool writes.
        if (/^\/sys\/(?:devices\/system\/cpu|fs\/cgroup)\/|^\/proc\/(?:meminfo|(?:self|\d+)\/stat)$/.test(path))
          return true;
        if (path === "/proc/sys/kernel/random/boot_id") return true;
        if (
          path === datastore ||
          path.startsWith(`${datastore}/`) ||
          path.startsWith(`${join(base, "out")}/`) ||
          path === join(base, "out")
        )
          return true;
        // The image itself, and the claim on it beside it.
        if (given !== undefined && (path === given.path || path.startsWith(lockPathOf(given.path)))) return true;
        if (reader === "open" && path === corpus.folder) return true;
        // Only who was told that the folder may be used may use it, and never what is not a file of its own there.
        return reader === "open with a folder" && path.startsWith(`${corpus.folder}/`) && !path.endsWith("/link");
      };
      const foreign = opened.filter(({ attempt }) => attempt >= 0).filter((file) => !allowedFor(file));
      expect(
        foreign.map(({ attempt, path }) => `${attempts[attempt]?.image}, ${attempts[attempt]?.reader}: ${path}`),
      ).toEqual([]);
      // What the images name was not even read by somebody who is not watched.
      const secrets = corpus.canaries.filter((path) => path.startsWith(base) && statSync(path).isFile());
      expect(secrets.length).toBe(2);
      for (const path of secrets) expect(statSync(path).atimeMs).toBe(0);

      const seconds = Math.max(...attempts.map(({ elapsedMs }) => elapsedMs)) / 1000;
      const resident = attempts.map(({ residentBytes }) => residentBytes);
      const grown = Math.max(...resident) - (resident[0] ?? 0);
      expect(grown).toBeLessThan(maxBytes);
      const refused = attempts.filter(({ outcome }) => outcome !== "works").length;
      console.log(
        `hostile images: ${corpus.images.length} through ${new Set(attempts.map(({ reader }) => reader)).size} readers, ${attempts.length} attempts (${refused} refused), each a coded error or a working image within ${seconds.toFixed(2)} s and ${Math.ceil(grown / 2 ** 20)} MiB; ${opened.length} files asked for, none outside`,
      );
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  },
  180_000,
);
