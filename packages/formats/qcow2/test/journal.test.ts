import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { backingFolder, createImage, hasJournal, Qcow2Image } from "../src/index.ts";
import { hasQemuImg, qemuCheck, temporaryFolder } from "./qemu-tools.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const MIB = 1 << 20;
const writer = fileURLToPath(new URL("./journal-writer.ts", import.meta.url));

interface Write {
  readonly offset: number;
  readonly length: number;
  readonly value: number;
}

/** Lets a process write, and kills it after so many writes. Returns those that it was told are done, and the one that may be. */
async function writeAndKill(
  path: string,
  seed: number,
  count: number,
): Promise<{ readonly done: readonly Write[]; readonly unknown: Write | undefined }> {
  const args = [writer, path, folder.path, String(seed), String((seed % 200) + 1)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const done: Write[] = [];
  let unknown: Write | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, offset = 0, length = 0, value = 0] = line
      .split(" ")
      .map((part, index) => (index === 0 ? part : Number(part))) as [string, ...number[]];
    if (word === "begins") unknown = { offset, length, value };
    if (word !== "done" || unknown === undefined) continue;
    done.push(unknown);
    unknown = undefined;
    if (done.length === count) child.kill("SIGKILL");
  }
  await exited;
  return { done, unknown };
}

const formats = [
  { name: "plain", format: {} },
  { name: "small clusters", format: { clusterSizeBytes: 4096 } },
  { name: "extended L2", format: { extendedL2: true } },
  { name: "lazy refcounts", format: { lazyRefcounts: true } },
] as const;

test.each(formats)("what was written and not flushed survives SIGKILL, again and again: $name", async ({ format }) => {
  const sizeBytes = 16 * MIB;
  const resolveBacking = backingFolder(folder.path);
  const backing = { path: "base.qcow2", format: "qcow2" } as const;
  await createImage({ path: folder.file("base.qcow2"), virtualSizeBytes: sizeBytes });
  {
    await using base = await Qcow2Image.open(folder.file("base.qcow2"));
    await base.write(Buffer.alloc(8 * MIB, 251), 0);
  }
  const path = folder.file("a.qcow2");
  await createImage({ path, virtualSizeBytes: sizeBytes, backing, ...format });
  const model = Buffer.alloc(sizeBytes);
  model.fill(251, 0, 8 * MIB);
  const rounds = process.env.VDC_DEEP ? 40 : 3;
  let writes = 0;
  for (let round = 1; round <= rounds; round++) {
    const { done, unknown } = await writeAndKill(path, round * 7919, 5 + ((round * 53) % 160));
    writes += done.length;
    for (const { offset, length, value } of done) model.fill(value, offset, offset + length);
    // Once every cluster has its place, writes go there and leave nothing to a journal.
    if (round <= 3) expect(hasJournal(path)).toBe(true);
    {
      await using image = await Qcow2Image.open(path, { resolveBacking });
      const content = Buffer.alloc(sizeBytes);
      await image.read(content, 0);
      // Nobody was told of it: it may be there, or not, or in part.
      if (unknown !== undefined) {
        const { offset, length } = unknown;
        content.copy(model, offset, offset, offset + length);
      }
      const wrong = content.findIndex((byte, at) => byte !== model[at]);
      expect({ round, wrong, is: content[wrong] }).toEqual({ round, wrong: -1, is: undefined });
      expect(await image.check()).toMatchObject({ corruptions: 0, leaks: 0 });
    }
    if (hasQemuImg) qemuCheck(path);
    expect(readdirSync(folder.path).sort()).toEqual(["a.qcow2", "base.qcow2"]);
  }
  console.log(`${writes} writes that were answered survived ${rounds} kills`);
});

test("a journal of another boot, of another file, or of nothing is left out, and removed", async () => {
  const path = folder.file("a.qcow2");
  await createImage({ path, virtualSizeBytes: MIB });
  await writeAndKill(path, 3, 20);
  const [name = ""] = readdirSync(folder.path).filter((file) => file.endsWith(".journal"));
  const journal = readFileSync(folder.file(name));
  for (const [at, text] of [
    [24, "another boot"],
    [61, "another file"],
    [0, "nothing"],
  ] as const) {
    const changed = Buffer.from(journal);
    changed.write(text, at, "latin1");
    for (const file of readdirSync(folder.path).filter((found) => found.endsWith(".journal")))
      writeFileSync(folder.file(file), "");
    writeFileSync(folder.file(name), changed);
    await using image = await Qcow2Image.open(path);
    expect(await image.check()).toMatchObject({ corruptions: 0 });
    expect(hasJournal(path)).toBe(false);
  }
});

test("an image that is closed in order leaves no journal, and one that was never written makes none", async () => {
  const path = folder.file("a.qcow2");
  await createImage({ path, virtualSizeBytes: MIB });
  {
    await using image = await Qcow2Image.open(path, { journal: true });
    expect(hasJournal(path)).toBe(false);
    await image.write(Buffer.alloc(4096, 1), 0);
    expect(hasJournal(path)).toBe(true);
    await image.flush();
    await image.write(Buffer.alloc(4096, 1), 500_000);
  }
  expect(readdirSync(folder.path)).toEqual(["a.qcow2"]);
});
