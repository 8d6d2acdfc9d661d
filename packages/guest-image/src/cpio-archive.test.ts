import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";
import { writeCpioArchive } from "./cpio-archive.ts";

const missing = missingPrograms(["busybox"], "the cpio archive is not read by an independent program");

test.skipIf(missing)("busybox lists what was written, with its kinds, modes and sizes", () => {
  const archive = writeCpioArchive([
    { kind: "directory", path: "bin" },
    { kind: "file", path: "bin/tool", mode: 0o755, content: Buffer.alloc(4097, 1) },
    { kind: "file", path: "empty", content: Buffer.alloc(0) },
    { kind: "file", path: "odd-length", content: Buffer.from("abc") },
    { kind: "link", path: "bin/link", target: "tool" },
    { kind: "characterDevice", path: "console", mode: 0o600, major: 5, minor: 1 },
  ]);
  const listing = execFileSync("busybox", ["cpio", "-tv"], { input: archive, encoding: "utf8", stdio: "pipe" });
  const lines = listing.split("\n").map((line) => line.replace(/\s+/g, " "));
  const words = (name: string): readonly string[] => lines.find((line) => line.includes(` ${name}`))?.split(" ") ?? [];
  expect(words("bin")[0]).toBe("drwxr-xr-x");
  expect(words("bin/tool")).toEqual(expect.arrayContaining(["-rwxr-xr-x", "4097"]));
  expect(words("empty")).toEqual(expect.arrayContaining(["-rw-r--r--", "0"]));
  expect(words("odd-length")).toContain("3");
  expect(words("bin/link").slice(-3)).toEqual(["bin/link", "->", "tool"]);
  expect(words("console")[0]).toBe("crw-------");
});

test("equal entries give equal bytes, aligned to four", () => {
  const write = (): Buffer => writeCpioArchive([{ kind: "file", path: "a", content: Buffer.from("hello") }]);
  expect(write()).toEqual(write());
  expect(write().length % 4).toBe(0);
});
