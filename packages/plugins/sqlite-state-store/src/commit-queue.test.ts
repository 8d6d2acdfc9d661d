import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { systemRandom, VdcError } from "@vdc-os/core";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Committed, CommitQueue } from "./commit-queue.ts";
import { openDatabase } from "./open-database.ts";
import { StateTables } from "./state-tables.ts";

let folder: string;
let database: DatabaseSync;
let tables: StateTables;
let queue: CommitQueue;
let committed: Committed[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-commit-"));
  const path = join(folder, "state.db");
  database = openDatabase(path, { uuid: () => systemRandom.uuid(), now: () => 0 });
  tables = new StateTables(database, path);
  committed = [];
  queue = new CommitQueue(database, {
    path,
    tables,
    tidy: () => {},
    onCommitted: (commit) => void committed.push(commit),
  });
});

afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

const put = (key: string, size: number): Promise<number> =>
  queue.write((commit) => {
    const revision = commit.nextRevision();
    tables.put(key, JSON.stringify("x".repeat(size)), undefined);
    commit.changed(key);
    return revision;
  });

it("keeps nothing of a commit that finds the disk full, and goes on when there is space again", async () => {
  await put("first", 10);
  database.exec("PRAGMA max_page_count = 30");
  const results = await Promise.allSettled([put("small", 10), put("large", 1_000_000), put("late", 10)]);
  for (const result of results) {
    expect(result).toMatchObject({ status: "rejected", reason: { code: "RESOURCE_EXHAUSTED", retryable: true } });
  }
  expect(tables.revision).toBe(1);
  expect(tables.get("small")).toBeUndefined();
  expect(await put("small", 10)).toBe(2);
  database.exec("PRAGMA max_page_count = 100000");
  expect(await put("large", 1_000_000)).toBe(3);
  expect(committed.map(({ before, revision, keys }) => [before, revision, ...keys])).toEqual([
    [0, 1, "first"],
    [1, 2, "small"],
    [2, 3, "large"],
  ]);
});

it("answers a write that refuses, and commits those beside it, in one commit", async () => {
  const refusing = queue.write(() => {
    throw new VdcError("NOT_FOUND", "no such lease");
  });
  const results = await Promise.allSettled([put("a", 1), refusing, put("b", 1)]);
  expect(results).toMatchObject([{ value: 1 }, { reason: { code: "NOT_FOUND" } }, { value: 2 }]);
  expect(committed).toEqual([{ before: 0, revision: 2, keys: ["a", "b"] }]);
});

it("refuses everything after the disk failed, and says that the store must be opened again", async () => {
  const failing = queue.write(() => {
    throw Object.assign(new Error("disk I/O error"), { code: "ERR_SQLITE_ERROR", errcode: 10 });
  });
  await expect(failing).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(put("a", 1)).rejects.toMatchObject({ reason: "VDC_STATE_STOPPED", retryable: false });
  expect(tables.get("a")).toBeUndefined();
});
