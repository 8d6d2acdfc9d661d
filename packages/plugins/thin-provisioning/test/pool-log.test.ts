import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@vdc-os/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatEntries, formatSegment, type LogEntry, readSegment } from "../src/log-segment.ts";
import { PoolLog } from "../src/pool-log.ts";
import type { VolumeRecord } from "../src/volume-record.ts";

const numRuns = process.env.VDC_DEEP ? 20_000 : 300;

function idOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
}

function recordOf(index: number): VolumeRecord {
  const request = { kind: "empty", capacityBytes: 512, parameters: {} } as const;
  const name = `volume-${index}`;
  return { format: 1, volumeId: idOf(index), name, capacityBytes: 512, createdAt: 1, request, highWater: 0 };
}

function made(index: number): LogEntry {
  return { kind: "made", record: recordOf(index) };
}

function segmentOf(first: readonly LogEntry[], then: readonly LogEntry[]): Buffer {
  const { bytes, seed } = formatSegment(7, first);
  return Buffer.concat([bytes, formatEntries(bytes.length, seed, then), Buffer.alloc(100)]);
}

function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "vdc-log-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function openLog(folder: string, segmentBytes = 2048): PoolLog {
  return PoolLog.open({ folder, logger: silentLogger, segmentBytes, beforeForgetting: async () => {} });
}

const entry: fc.Arbitrary<LogEntry> = fc.oneof(
  fc.nat(9).map(made),
  fc
    .tuple(fc.constantFrom("persisted" as const, "deleted" as const), fc.nat(9))
    .map(([kind, index]) => ({ kind, volumeId: idOf(index) })),
);

describe("a segment of the log", () => {
  it("gives back what was written, and of what was cut off or torn what comes before", () => {
    const entries = fc.array(entry, { maxLength: 6 });
    fc.assert(
      fc.property(entries, entries, fc.nat(), fc.nat(255), (first, then, where, value) => {
        const all = [...first, ...then];
        const bytes = segmentOf(first, then);
        expect(readSegment(bytes)).toEqual({ entries: all, isDamaged: false });
        const at = where % bytes.length;
        for (const found of [readSegment(bytes.subarray(0, at)), readSegment(bytes.fill(value, at, at + 1))]) {
          expect(found.entries).toEqual(all.slice(0, found.entries.length));
          expect(found.isDamaged || found.entries.length >= first.length).toBe(true);
        }
      }),
      { seed: 1, numRuns },
    );
  });

  it("takes no frame from another place or another segment", () => {
    const { bytes, seed } = formatSegment(1, []);
    const frame = formatEntries(bytes.length, seed, [made(1)]);
    expect(readSegment(Buffer.concat([bytes, frame])).entries).toHaveLength(1);
    expect(readSegment(Buffer.concat([bytes, frame, frame])).entries).toHaveLength(1);
    expect(readSegment(Buffer.concat([formatSegment(2, []).bytes, frame])).entries).toEqual([]);
  });

  it("is read in bounded time, whatever it is", () => {
    const mutated = fc
      .tuple(
        fc.array(entry, { maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 12 })), { maxLength: 4 }),
      )
      .map(([entries, changes]) => {
        const bytes = segmentOf(entries, entries);
        for (const [at, patch] of changes)
          bytes.set(patch.subarray(0, Math.max(0, bytes.length - (at % bytes.length))), at % bytes.length);
        return bytes;
      });
    const arbitrary = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      mutated,
    );
    fc.assert(
      fc.property(arbitrary, (bytes) => {
        for (const one of readSegment(bytes).entries) {
          expect(one.kind === "made" ? one.record.volumeId : one.volumeId).toMatch(/^[0-9a-f-]{36}$/);
        }
      }),
      { seed: 2, numRuns },
    );
  });

  it("has no entry whose id could be a path", () => {
    for (const volumeId of ["../../etc", ".", "", "a/b"]) {
      expect(readSegment(segmentOf([], [{ kind: "deleted", volumeId }])).entries).toEqual([]);
      expect(readSegment(segmentOf([], [{ kind: "made", record: { ...recordOf(1), volumeId } }])).entries).toEqual([]);
    }
  });
});

describe("the log", () => {
  it("has what was appended, through as many segments as it takes, and keeps one file", async () => {
    using folder = temporaryFolder();
    const log = openLog(folder.path);
    const expected = new Set<string>();
    for (let round = 0; round < 10; round++) {
      const batch = Array.from({ length: 5 }, (_, index) => round * 5 + index);
      await Promise.all(batch.map((index) => log.append(made(index))));
      for (const index of batch) expected.add(idOf(index));
      for (const [offset, kind] of [
        [0, "deleted"],
        [1, "persisted"],
      ] as const) {
        await log.append({ kind, volumeId: idOf(round * 5 + offset) });
        expected.delete(idOf(round * 5 + offset));
      }
    }
    log.close();
    expect(readdirSync(folder.path)).toHaveLength(1);
    const again = openLog(folder.path);
    expect(new Set(again.made.keys())).toEqual(expected);
    expect(again.made.get(idOf(2))).toEqual(recordOf(2));
    expect(again.deleted.has(idOf(45))).toBe(true);
    again.close();
    await expect(again.append(made(99))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("syncs once for all that come at the same time", async () => {
    using folder = temporaryFolder();
    const log = openLog(folder.path, 1024 * 1024);
    await log.append(made(0));
    let syncs = 0;
    const { fdatasync } = fs;
    Reflect.set(fs, "fdatasync", (...args: Parameters<typeof fdatasync>) => {
      syncs++;
      fdatasync(...args);
    });
    syncBuiltinESMExports();
    try {
      await Promise.all(Array.from({ length: 100 }, (_, index) => log.append(made(index))));
    } finally {
      Reflect.set(fs, "fdatasync", fdatasync);
      syncBuiltinESMExports();
    }
    // The first begins at once, the others share the next one.
    expect(syncs).toBe(2);
    log.close();
  });

  it("has nothing of what it refused, when a disk fails, and goes on in another segment", async () => {
    using folder = temporaryFolder();
    const log = openLog(folder.path, 1024 * 1024);
    await log.append(made(1));
    const { fdatasync } = fs;
    Reflect.set(fs, "fdatasync", (_: number, done: (error: Error) => void) => {
      setImmediate(() => done(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" })));
    });
    syncBuiltinESMExports();
    try {
      await expect(log.append(made(2))).rejects.toThrow("EIO");
    } finally {
      Reflect.set(fs, "fdatasync", fdatasync);
      syncBuiltinESMExports();
    }
    expect([...openLog(folder.path).made.keys()]).toEqual([idOf(1)]);
    await log.append(made(3));
    log.close();
    expect([...openLog(folder.path).made.keys()]).toEqual([idOf(1), idOf(3)]);
  });

  it("says that it is damaged when what it began with is not whole, and gives what can be read", async () => {
    using folder = temporaryFolder();
    const log = openLog(folder.path);
    for (let index = 0; index < 12; index++) await log.append(made(index));
    log.close();
    const [name = ""] = readdirSync(folder.path);
    const bytes = readFileSync(join(folder.path, name));
    writeFileSync(join(folder.path, name), bytes.fill(0xff, 300, 310));
    const errors: string[] = [];
    const logger = { ...silentLogger, error: (message: string) => void errors.push(message) };
    const again = PoolLog.open({ folder: folder.path, logger, beforeForgetting: async () => {} });
    expect(errors).toHaveLength(1);
    expect(again.made.size).toBeLessThan(12);
  });
});
