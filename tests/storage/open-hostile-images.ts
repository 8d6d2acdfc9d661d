// Gives every image of a corpus to every reader of images, in a process of its own that is watched. Its argument: the corpus and a folder for what it writes.
// Before each attempt it asks for a file that is not there and says which attempt begins, so that who watches its calls sees where they belong.
import { closeSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isVdcError } from "@vdc-os/core";
import { context, createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import {
  type BlockSource,
  backingFolder,
  convert,
  dataFileFolder,
  inspect,
  openRawSource,
  Qcow2Error,
  Qcow2Image,
} from "@vdc-os/qcow2";
import { VmdkDisk, VmdkError } from "@vdc-os/vmdk";
import type { HostileCorpus, HostileImage } from "./hostile-corpus.ts";

/** How an attempt ended. */
export interface Attempt {
  readonly image: string;
  readonly reader: string;
  /** The code of the error, or `works`; `uncoded` for anything else that was thrown. */
  readonly outcome: string;
  readonly message: string;
  readonly elapsedMs: number;
  readonly residentBytes: number;
}

/** What the watched process says at its end. */
export interface HostileReport {
  readonly attempts: readonly Attempt[];
  /** What only a pool's own work may open. */
  readonly datastore: string;
  /** What imports that failed left in the pool. */
  readonly leftovers: readonly string[];
}

type Reader = (image: HostileImage, number: number) => Promise<void>;

const mib = 1024 * 1024;
const [corpusText = "", output = ""] = process.argv.slice(2);
const corpus = JSON.parse(corpusText) as HostileCorpus;
const pool = await createTestPool("here", { maxOverSubscription: 1000 });
const volumeIds = new Set<string>();

/** Reads the first and the last of a disk, and asks for its map in pieces. */
async function readSome(
  disk: Pick<BlockSource, "sizeBytes" | "read"> & { map(offset: number, length: number): unknown },
): Promise<void> {
  const { sizeBytes } = disk;
  const buffer = Buffer.alloc(Math.min(sizeBytes, mib));
  for (let at = 0; at + buffer.length <= Math.min(sizeBytes, 8 * mib) && buffer.length > 0; at += buffer.length) {
    await disk.read(buffer, at);
  }
  await disk.read(buffer, sizeBytes - buffer.length);
  disk.map(0, Math.min(sizeBytes, 1024 * mib));
}

const readers: Readonly<Record<string, Reader>> = {
  inspect: async ({ path }) => void (await inspect(path)),
  open: async ({ path }) => {
    await using image = await Qcow2Image.open(path);
    await readSome(image);
    await image.check();
    await image.write(Buffer.alloc(512, 1), image.sizeBytes - 512);
  },
  "open with a folder": async ({ path }) => {
    const options = { resolveBacking: backingFolder(corpus.folder), resolveDataFile: dataFileFolder(corpus.folder) };
    await using image = await Qcow2Image.open(path, { ...options, readOnly: true });
    await readSome(image);
  },
  convert: async ({ path, format }, number) => {
    const source = format === "raw" ? await openRawSource(path) : await Qcow2Image.open(path, { readOnly: true });
    try {
      await convert(source, { format: "qcow2", path: join(output, `${number}.qcow2`) });
      await convert(source, { format: "raw", path: join(output, `${number}.raw`) });
    } finally {
      await source.close();
    }
  },
  importVolume: async ({ path, format }, number) => {
    const source = { path, format };
    const name = `v-${number}`;
    const { volumeId, capacityBytes } = await pool.provider.facets.importExport.importVolume(
      { name, source },
      context({ signal: AbortSignal.timeout(20_000) }),
    );
    volumeIds.add(volumeId);
    if (format !== "raw") return;
    // What a raw disk holds is its content, whatever it looks like.
    const [raw, imported] = [await openRawSource(path), await Qcow2Image.open(pool.pool.layout.image(volumeId))];
    try {
      const [want, have] = [Buffer.alloc(Math.min(mib, raw.sizeBytes)), Buffer.alloc(Math.min(mib, capacityBytes))];
      await raw.read(want, 0);
      await imported.read(have, 0);
      if (!have.subarray(0, want.length).equals(want)) throw new Error("the imported disk is another one");
    } finally {
      await raw.close();
      await imported.close();
    }
  },
  "open as VMDK": async ({ path }) => {
    await using disk = await VmdkDisk.open(path);
    await readSome(disk);
  },
};

async function attempt(image: HostileImage, reader: string, number: number): Promise<Attempt> {
  try {
    closeSync(openSync(`/attempt/${number}`, "r"));
  } catch {
    // It was asked for only to be seen.
  }
  const started = performance.now();
  let outcome = "works";
  let message = "";
  try {
    await readers[reader]?.(image, number);
  } catch (error) {
    const isCoded = error instanceof Qcow2Error || error instanceof VmdkError || isVdcError(error);
    const isExplained = isCoded && error.code !== "INTERNAL" && error.code !== "UNKNOWN";
    outcome = isExplained ? error.code : "uncoded";
    message = String(error);
  }
  const elapsedMs = performance.now() - started;
  return { image: image.name, reader, outcome, message, elapsedMs, residentBytes: process.memoryUsage.rss() };
}

/** Lets all readers work once, so that what they load is loaded. */
async function warmUp(): Promise<void> {
  const path = join(output, "good");
  const source = await openRawSource(fileURLToPath(import.meta.url));
  await convert(source, { format: "qcow2", path });
  await source.close();
  for (const [index, reader] of Object.values(readers).entries()) {
    await reader({ name: "good", path, format: "qcow2", expected: "whole" }, -1 - index).catch(() => {});
  }
}

await warmUp();
const attempts: Attempt[] = [];
let number = 0;
for (const image of corpus.images) {
  for (const reader of Object.keys(readers)) {
    // A raw disk is never opened as anything else.
    if (image.format === "raw" && reader !== "importVolume" && reader !== "convert") continue;
    if (image.format === "vmdk" && reader === "convert") continue;
    attempts.push(await attempt(image, reader, number++));
  }
}
const { volumes } = pool.pool.layout;
const leftovers = readdirSync(volumes).filter((name) => !volumeIds.has(name));
const report: HostileReport = { attempts, datastore: pool.folder, leftovers };
await pool[Symbol.asyncDispose]();
const bytes = Buffer.from(JSON.stringify(report));
for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
