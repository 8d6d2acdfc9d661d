import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { isVdcError } from "@vdc-os/core";
import { dirHash, readPackageFiles } from "@vdc-os/core/certificate";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readTarball, unpackTarball } from "./read-tarball.ts";

const long = `${"deep/".repeat(30)}${"n".repeat(120)}\u00fc.js`;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-tarball-"));
  for (const [path, text] of [
    ["package.json", "{}"],
    ["dist/index.js", "1".repeat(1_025)],
    ["dist/empty.js", ""],
    [long, "2"],
  ] as const) {
    mkdirSync(join(folder, "package", path, ".."), { recursive: true });
    writeFileSync(join(folder, "package", path), text);
  }
});

afterEach(() => rmSync(folder, { recursive: true }));

function pack(...options: readonly string[]): string {
  execFileSync("tar", [...options, "-czf", "x.tgz", "package"], { cwd: folder });
  return join(folder, "x.tgz");
}

it.each(["posix", "gnu"])("reads what tar writes in the format %s, and its digest is the folder's", async (format) => {
  const tarball = await readTarball(pack(`--format=${format}`));
  expect(tarball.files.map(({ path }) => path).sort()).toEqual(
    [long, "dist/empty.js", "dist/index.js", "package.json"].sort(),
  );
  expect(dirHash(tarball.files)).toBe(dirHash(await readPackageFiles(join(folder, "package"))));
  await unpackTarball(tarball, join(folder, "again"));
  expect(dirHash(await readPackageFiles(join(folder, "again")))).toBe(dirHash(tarball.files));
});

it("refuses what no package holds, and what leads out of it", async () => {
  const refused = async (text: string): Promise<void> =>
    expect(readTarball(join(folder, "x.tgz"))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(text),
    });
  symlinkSync("/etc/hostname", join(folder, "package/link"));
  pack();
  await refused("an entry of type '2'");
  rmSync(join(folder, "package/link"));
  pack("--transform", "s,^package/dist,package/../../outside,", "--absolute-names");
  await refused("is no path in a package");
  pack("--transform", "s,dist/empty.js,package.json,");
  await refused("is there twice");
  const whole = gunzipSync(readFileSync(pack()));
  writeFileSync(join(folder, "x.tgz"), gzipSync(whole.subarray(0, 700)));
  await refused("has no end");
  writeFileSync(join(folder, "x.tgz"), gzipSync(whole.subarray(0, whole.lastIndexOf("1".repeat(500)))));
  await refused("ends within the file");
  await expect(readTarball(join(folder, "none"))).rejects.toMatchObject({ code: "NOT_FOUND" });
});

it("answers damage with a code, in bounded time", async () => {
  const whole = gunzipSync(readFileSync(pack()));
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.oneof(damage, fc.uint8Array({ maxLength: 2_000 })), async (input) => {
      const copy = Buffer.from(whole);
      if (Array.isArray(input)) for (const [at, value] of input) copy[at] = value;
      writeFileSync(join(folder, "x.tgz"), gzipSync(Array.isArray(input) ? copy : input, { level: 1 }));
      try {
        const { files } = await readTarball(join(folder, "x.tgz"));
        for (const { path } of files) expect(join("/in/package", path)).toMatch(/^\/in\/package\//);
      } catch (error) {
        if (!isVdcError(error, "INVALID_ARGUMENT")) throw error;
      }
    }),
    { seed: 4, numRuns: process.env.VDC_DEEP ? 5_000 : 60 },
  );
});
