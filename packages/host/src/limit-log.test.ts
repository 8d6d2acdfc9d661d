import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { limitLog } from "./limit-log.ts";

it("begins a log anew that has grown too long, under the hands of who appends to it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vdc-log-"));
  try {
    const log = join(folder, "a.log");
    await limitLog(log, 10);
    await writeFile(log, "0123456789");
    await limitLog(log, 10);
    expect(await readFile(log, "utf8")).toBe("0123456789");
    await appendFile(log, "+");
    await limitLog(log, 10);
    await appendFile(log, "next");
    expect([await readFile(log, "utf8"), await readFile(`${log}.1`, "utf8")]).toEqual(["next", "0123456789+"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
