import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { KeyValue, StateEvent, StateOperation } from "@vdc-os/core/state/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type OpenSqliteStateStoreOptions, SqliteStateStore } from "./sqlite-state-store.ts";

const context: OperationContext = createOperationContext();
let folder: string;
let path: string;
const opened: SqliteStateStore[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-state-"));
  path = join(folder, "state.db");
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(options: Partial<OpenSqliteStateStoreOptions> = {}): Promise<SqliteStateStore> {
  const store = await SqliteStateStore.open({ path, ...options });
  opened.push(store);
  return store;
}

async function put(store: SqliteStateStore, ...keys: readonly string[]): Promise<number> {
  const operations = keys.map((key): StateOperation => ({ type: "put", key, value: { key } }));
  return (await store.transact({ compare: [], operations }, context)).revision;
}

async function remove(store: SqliteStateStore, key: string): Promise<number> {
  return (await store.transact({ compare: [], operations: [{ type: "delete", key }] }, context)).revision;
}

async function take(items: AsyncIterable<StateEvent>, count: number): Promise<StateEvent[]> {
  const taken: StateEvent[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

const brief = (event: StateEvent): string =>
  event.type === "resync"
    ? `resync ${event.compactRevision}`
    : `${event.type} ${event.revision}${event.type === "put" ? ` ${event.entry.key}` : event.type === "delete" ? ` ${event.key}` : ""}`;

describe("opening", () => {
  it("makes the file with mode 0600 and finds everything again", async () => {
    const first = await open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await put(first, "a", "b");
    await remove(first, "b");
    await first.close();
    const second = await open();
    const listed = await second.list({ prefix: "" }, context);
    expect(listed.revision).toBe(2);
    expect(listed.entries).toEqual([{ key: "a", value: { key: "a" }, createRevision: 1, modRevision: 1 }]);
  });

  it("refuses a second process, and names the first", async () => {
    await open();
    const script = `
      import { SqliteStateStore } from ${JSON.stringify(new URL("./sqlite-state-store.ts", import.meta.url).href)};
      try { await SqliteStateStore.open({ path: ${JSON.stringify(path)} }); console.log("opened"); }
      catch (error) { console.log(JSON.stringify(error)); }`;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      cwd: import.meta.dirname,
    });
    expect(JSON.parse(run.stdout)).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_STATE_IN_USE",
      details: { pid: process.pid },
    });
  });

  it("refuses a second store of the same process too", async () => {
    const first = await open();
    await expect(open()).rejects.toMatchObject({ reason: "VDC_STATE_IN_USE" });
    await put(first, "still-writable");
  });

  it("refuses what it did not make, and leaves it as it was", async () => {
    writeFileSync(path, "not a database, and long enough to be read as one".repeat(100));
    const before = readFileSync(path);
    await expect(open()).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_STATE_FOREIGN_FILE" });
    expect(readFileSync(path).equals(before)).toBe(true);

    rmSync(path);
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE theirs (a)");
    other.close();
    const theirs = readFileSync(path);
    await expect(open()).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_STATE_FOREIGN_FILE" });
    expect(readFileSync(path).equals(theirs)).toBe(true);
  });

  it("refuses a newer format", async () => {
    await (await open()).close();
    const raw = new DatabaseSync(path);
    raw.exec("PRAGMA user_version = 99");
    raw.close();
    await expect(open()).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_STATE_NEWER_FORMAT" });
  });

  it("says DATA_LOSS for a damaged page, a damaged header, and a value that is not JSON", async () => {
    const store = await open();
    for (let index = 0; index < 40; index += 1) await put(store, `k/${index}/${"x".repeat(200)}`);
    await store.close();
    const good = readFileSync(path);

    writeFileSync(path, Buffer.from(good).fill(0xa5, 4096 * 3, 4096 * 8));
    await expect(open()).rejects.toMatchObject({ code: "DATA_LOSS", message: expect.stringContaining("backup") });

    writeFileSync(path, Buffer.from(good).fill(0, 0, 64));
    await expect(open()).rejects.toMatchObject({ code: "DATA_LOSS" });

    writeFileSync(path, good);
    const raw = new DatabaseSync(path);
    raw.exec("UPDATE entry SET value = '{' WHERE key LIKE 'k/7/%'");
    raw.close();
    const reopened = await open();
    await expect(reopened.list({ prefix: "k/7/" }, context)).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("ends everything when it closes", async () => {
    const store = await open();
    const watch = store.watch({ prefix: "", afterRevision: 0 }, context)[Symbol.asyncIterator]();
    await watch.next();
    const waiting = watch.next();
    const queued = put(store, "queued-before-close");
    const ended = expect(waiting).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await store.close();
    await ended;
    expect(await queued).toBe(1);
    await expect(put(store, "late")).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_STATE_CLOSED" });
  });
});

describe("transact", () => {
  it("shares a sync among the calls of one turn, and answers each", async () => {
    const store = await open();
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        store.transact(
          {
            compare: [{ key: "lock", modRevision: 0 }],
            operations: [
              { type: "put", key: "lock", value: index },
              { type: "put", key: `k/${index}`, value: index },
            ],
          },
          context,
        ),
      ),
    );
    expect(results.map((result) => result.committed)).toEqual([true, ...Array.from({ length: 49 }, () => false)]);
    expect((await store.list({ prefix: "k/" }, context)).entries.map((entry) => entry.key)).toEqual(["k/0"]);
    const [, second] = results;
    expect(second).toMatchObject({ committed: false, conflicts: [{ key: "lock", value: 0, modRevision: 1 }] });
  });

  it("refuses what can't be kept, with the others of its turn unharmed", async () => {
    const store = await open();
    const attempt = (operations: readonly StateOperation[]): Promise<unknown> =>
      store.transact({ compare: [], operations }, context);
    const bad: readonly (readonly StateOperation[])[] = [
      [{ type: "put", key: "", value: 1 }],
      [{ type: "put", key: "k".repeat(513), value: 1 }],
      [{ type: "put", key: "half \ud800", value: 1 }],
      [{ type: "put", key: "nul \0", value: 1 }],
      [{ type: "put", key: "big", value: "x".repeat(1024 * 1024) }],
      [
        { type: "put", key: "twice", value: 1 },
        { type: "delete", key: "twice" },
      ],
      Array.from({ length: 513 }, (_, index): StateOperation => ({ type: "delete", key: `d/${index}` })),
    ];
    const results = await Promise.allSettled([...bad.map(attempt), put(store, "good")]);
    for (const result of results.slice(0, -1)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "INVALID_ARGUMENT" } });
    }
    expect(results.at(-1)).toMatchObject({ status: "fulfilled", value: 1 });
    await expect(
      store.transact({ compare: [], operations: [{ type: "put", key: "a", value: 1, lease: "none" }] }, context),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await store.get({ key: "a" }, context)).revision).toBe(1);
  });

  it("is not done when it was cancelled before its commit", async () => {
    const store = await open();
    const controller = new AbortController();
    const cancelled = store.transact(
      { compare: [], operations: [{ type: "put", key: "a", value: 1 }] },
      createOperationContext({ signal: controller.signal }),
    );
    controller.abort();
    await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await store.get({ key: "a" }, context)).entry).toBeUndefined();
  });
});

describe("list", () => {
  it("pages as of one revision while the store changes, until that is compacted", async () => {
    const store = await open({ keepRevisions: 50 });
    const keys = Array.from({ length: 10 }, (_, index) => `k/${index}`);
    await put(store, ...keys);
    const first = await store.list({ prefix: "k/", limit: 3 }, context);
    await remove(store, "k/4");
    await put(store, "k/5", "k/35");
    await remove(store, "k/5");
    const seen: KeyValue[] = [...first.entries];
    let token = first.nextPageToken;
    while (token !== undefined) {
      const page = await store.list({ prefix: "k/", limit: 3, pageToken: token }, context);
      expect(page.revision).toBe(first.revision);
      seen.push(...page.entries);
      token = page.nextPageToken;
    }
    expect(seen.map((entry) => entry.key)).toEqual(keys);
    expect(seen.every((entry) => entry.modRevision === 1)).toBe(true);
    for (let index = 0; index < 60; index += 1) await put(store, "other");
    const { nextPageToken } = first;
    await expect(
      store.list({ prefix: "k/", ...(nextPageToken === undefined ? {} : { pageToken: nextPageToken }) }, context),
    ).rejects.toMatchObject({ code: "ABORTED" });
    await expect(store.list({ prefix: "k/", pageToken: "nonsense" }, context)).rejects.toMatchObject({
      code: "ABORTED",
    });
  });

  it("takes a prefix as text, to the end of Unicode", async () => {
    const store = await open();
    const keys = ["a", "a/", "a/\u{10ffff}", "a/\u{10ffff}b", "a0", "b\ud7ff", "b\ue000", "\u{10ffff}", "%", "a_"];
    await put(store, ...keys);
    for (const prefix of ["", "a/", "a/\u{10ffff}", "b\ud7ff", "\u{10ffff}", "%", "a_", "zz"]) {
      const expected = keys
        .filter((key) => key.startsWith(prefix))
        .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect((await store.list({ prefix }, context)).entries.map((entry) => entry.key)).toEqual(expected);
    }
  });
});

describe("watch", () => {
  it("tells the past and then the present, in order, once", async () => {
    const store = await open();
    await put(store, "w/a", "w/b", "x");
    await remove(store, "w/a");
    const watch = store.watch({ prefix: "w/", afterRevision: 0 }, context);
    const taken = take(watch, 6);
    const first = await take(store.watch({ prefix: "w/", afterRevision: 0 }, context), 4);
    expect(first.map(brief)).toEqual(["put 1 w/a", "put 1 w/b", "delete 2 w/a", "progress 2"]);
    await put(store, "x");
    await put(store, "w/c");
    expect((await taken).map(brief)).toEqual([...first.map(brief), "put 4 w/c", "progress 4"]);
  });

  it("gives a watcher that compaction overtook a resync, and then ends", async () => {
    const store = await open({ keepRevisions: 10 });
    await put(store, "w/0");
    const watch = store.watch({ prefix: "w/", afterRevision: 0 }, context)[Symbol.asyncIterator]();
    expect(await watch.next()).toMatchObject({ value: { type: "put" } });
    expect(await watch.next()).toMatchObject({ value: { type: "progress", revision: 1 } });
    for (let index = 0; index < 30; index += 1) await put(store, "w/hot");
    const next = await watch.next();
    expect(next.value).toMatchObject({ type: "resync" });
    expect(await watch.next()).toMatchObject({ done: true });
  });

  it("keeps a quiet watch alive across compaction, and tells it progress", async () => {
    const store = await open({ keepRevisions: 10 });
    const watch = store.watch({ prefix: "w/", afterRevision: 0 }, context)[Symbol.asyncIterator]();
    expect(await watch.next()).toMatchObject({ value: { type: "progress", revision: 0 } });
    const waiting = watch.next();
    for (let index = 0; index < 40; index += 1) await put(store, "x");
    await put(store, "w/a");
    expect(await waiting).toMatchObject({ value: { type: "put", revision: 41 } });
    expect(await watch.next()).toMatchObject({ value: { type: "progress", revision: 41 } });
    const quiet = watch.next();
    for (let round = 0; round < 10; round += 1) await Promise.all(Array.from({ length: 100 }, () => put(store, "x")));
    expect(await quiet).toMatchObject({ value: { type: "progress", revision: 1041 } });
  });

  it("asks for a list anew when the revision has not been: the store is an older copy", async () => {
    const store = await open();
    expect((await take(store.watch({ prefix: "", afterRevision: 7 }, context), 1)).map(brief)).toEqual(["resync 0"]);
  });

  it("ends when it is cancelled or left, also while it waits", async () => {
    const store = await open();
    const controller = new AbortController();
    const cancelled = store
      .watch({ prefix: "", afterRevision: 0 }, createOperationContext({ signal: controller.signal }))
      [Symbol.asyncIterator]();
    await cancelled.next();
    const waiting = cancelled.next();
    const rejected = expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    controller.abort();
    await rejected;

    const left = store.watch({ prefix: "", afterRevision: 0 }, context)[Symbol.asyncIterator]();
    await left.next();
    const pending = left.next();
    await left.return?.();
    expect(await pending).toMatchObject({ done: true });
  });
});

describe("leases", () => {
  it("deletes keys by an ordinary revision when its monotonic time is up", async () => {
    const clock = createTestClock();
    const store = await open({ clock });
    const { lease } = await store.grantLease({ ttlMs: 1000 }, context);
    await store.transact(
      {
        compare: [],
        operations: [
          { type: "put", key: "l/a", value: 1, lease },
          { type: "put", key: "l/b", value: 2, lease },
          { type: "put", key: "stays", value: 3 },
        ],
      },
      context,
    );
    await clock.advance(900);
    expect(await store.keepAlive({ lease }, context)).toEqual({ lease, ttlMs: 1000 });
    await clock.advance(900);
    expect((await store.get({ key: "l/a" }, context)).entry).toMatchObject({ lease });
    await clock.advance(100);
    const events = await take(store.watch({ prefix: "", afterRevision: 1 }, context), 2);
    expect(events.map(brief)).toEqual(["delete 2 l/a", "delete 2 l/b"]);
    await expect(store.keepAlive({ lease }, context)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await store.revokeLease({ lease }, context);
    expect((await store.list({ prefix: "" }, context)).entries.map((entry) => entry.key)).toEqual(["stays"]);
  });

  it("has its whole time again after a restart", async () => {
    const first = await open({ clock: createTestClock() });
    const { lease } = await first.grantLease({ ttlMs: 1000 }, context);
    await first.transact({ compare: [], operations: [{ type: "put", key: "l", value: 1, lease }] }, context);
    await first.close();
    const clock = createTestClock();
    const second = await open({ clock });
    await clock.advance(999);
    expect((await second.get({ key: "l" }, context)).entry).toMatchObject({ lease });
    await clock.advance(1);
    expect((await second.get({ key: "l" }, context)).entry).toBeUndefined();
  });

  it("takes no key once it is revoked, in the same commit too", async () => {
    const store = await open();
    const { lease } = await store.grantLease({ ttlMs: 60_000 }, context);
    const revoked = store.revokeLease({ lease }, context);
    const late = store.transact({ compare: [], operations: [{ type: "put", key: "l", value: 1, lease }] }, context);
    await expect(late).rejects.toMatchObject({ code: "NOT_FOUND" });
    await revoked;
  });
});

describe("history and backup", () => {
  it("streams a key's past, newest first, until compaction", async () => {
    const store = await open();
    await put(store, "h");
    await put(store, "h");
    await remove(store, "h");
    await put(store, "h");
    const past = async (): Promise<string[]> => {
      const seen: string[] = [];
      for await (const event of store.facets.history.keyHistory({ key: "h" }, context)) seen.push(brief(event));
      return seen;
    };
    expect(await past()).toEqual(["put 4 h", "delete 3 h", "put 2 h", "put 1 h"]);
    await store.facets.history.compact({ revision: 3 }, context);
    expect(await past()).toEqual(["put 4 h", "delete 3 h"]);
    await expect(store.facets.history.compact({ revision: 5 }, context)).rejects.toMatchObject({
      code: "OUT_OF_RANGE",
    });
  });

  it("backs up into a new file that opens as a store, and overwrites nothing", async () => {
    const store = await open();
    await put(store, "a");
    const copy = join(folder, "copy.db");
    expect(await store.facets.backup.backup({ path: copy }, context)).toEqual({ revision: 1 });
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    await put(store, "b");
    await expect(store.facets.backup.backup({ path: copy }, context)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    await expect(
      store.facets.backup.backup({ path: join(folder, "absent", "copy.db") }, context),
    ).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    const restored = await open({ path: copy });
    expect((await restored.list({ prefix: "" }, context)).entries.map((entry) => entry.key)).toEqual(["a"]);
    expect(existsSync(`${copy}.partial`)).toBe(false);
  });
});
