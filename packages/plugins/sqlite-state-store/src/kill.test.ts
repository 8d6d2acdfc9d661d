import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createOperationContext } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import { expect, it } from "vitest";
import { SqliteStateStore } from "./sqlite-state-store.ts";

const script = fileURLToPath(new URL("./test/write-until-killed.ts", import.meta.url));

interface Acknowledged {
  readonly number: number;
  readonly revision: number;
}

/** Runs the writer and kills it as soon as it has acknowledged so many, plus a moment. Resolves with the last one it acknowledged. */
function writeAndKill(path: string, after: number, spinMs: number): Promise<Acknowledged | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.split("\n").length <= after) return;
      const until = performance.now() + spinMs;
      while (performance.now() < until);
      child.kill("SIGKILL");
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors += chunk;
    });
    child.on("error", reject);
    child.on("close", (_code, signal) => {
      if (signal !== "SIGKILL") return reject(new Error(`the writer ended by itself: ${errors}`));
      const last = text.split("\n").slice(0, -1).at(-1);
      const [number, revision] = (last ?? "").split(" ").map(Number);
      resolve(number === undefined || revision === undefined ? undefined : { number, revision });
    });
  });
}

it("loses nothing that was acknowledged, and keeps nothing half, when it is killed at any moment", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vdc-state-kill-"));
  const path = join(folder, "state.db");
  const context = createOperationContext();
  const random = createTestRandom(7);
  const kills = process.env.VDC_DEEP ? 200 : 12;
  let acknowledged = 0;
  try {
    for (let round = 0; round < kills; round += 1) {
      const last = await writeAndKill(path, 1 + Math.floor(random.next() * 120), random.next() * 4);
      const store = await SqliteStateStore.open({ path, keepRevisions: 50 });
      try {
        const { entries, revision } = await store.list({ prefix: "" }, context);
        const values = new Map(entries.map(({ key, value }) => [key, value]));
        const count = Number(values.get("count"));
        if (last !== undefined) {
          expect(count).toBeGreaterThanOrEqual(last.number);
          expect(revision).toBeGreaterThanOrEqual(last.revision);
          acknowledged = last.number;
        }
        // One revision for each transaction, none skipped.
        expect(revision).toBe(count);
        for (const key of ["a", "b", "c"]) expect(String(values.get(key)).startsWith(`${count}:`)).toBe(true);
        expect(values.get("even")).toBe(count % 2 === 0 ? values.get("a") : undefined);
        expect(values.get("a")).toBe(`${count}:${"x".repeat((count * 37) % 5000)}`);
        // The history agrees as well: the last change of `a` is the newest, and they go back without a gap.
        const revisions: number[] = [];
        for await (const event of store.facets.history.keyHistory({ key: "a" }, context)) {
          if (event.type === "put") revisions.push(event.revision);
        }
        expect(revisions).toEqual(revisions.map((_, index) => count - index));
      } finally {
        await store.close();
      }
    }
    expect(acknowledged).toBeGreaterThan(kills);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
