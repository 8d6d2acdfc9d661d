import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readConsoleLog } from "./console-reader.ts";
import { firstKeptByte, trimConsole } from "./trim-console.ts";

test("a console that grew too long gives its space back, and is read from what is kept on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vdc-console-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "console.log");
  const line = "0123456789abcde\n";
  const file = await open(path, "w");
  for (let written = 0; written < 40 << 20; written += 1 << 20) await file.write(line.repeat((1 << 20) / line.length));
  await file.close();
  await trimConsole(path);
  const { size, blocks } = await stat(path);
  expect(size).toBe(40 << 20);
  expect(blocks * 512).toBeLessThan(20 << 20);

  let next: number | undefined;
  let last = "";
  const { signal } = new AbortController();
  for await (const { offset, text } of readConsoleLog({ path, offset: 5, goesOn: () => false, signal })) {
    if (next === undefined) expect(offset).toBe(firstKeptByte(size));
    else expect(offset).toBe(next);
    expect(text).not.toContain("\0");
    next = offset + Buffer.byteLength(text);
    last = text;
  }
  expect(next).toBe(size);
  expect(last.endsWith(line)).toBe(true);
});
