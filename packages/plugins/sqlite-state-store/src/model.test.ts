import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type Json } from "@vdc-os/core";
import type { StateEvent, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import { createTestClock, type TestClock } from "@vdc-os/core/testing";
import { MemoryStateStore } from "@vdc-os/ready/state";
import fc from "fast-check";
import { expect, it } from "vitest";
import { SqliteStateStore } from "./sqlite-state-store.ts";

const context = createOperationContext();
const seed = 20261123;

// Few keys, so that they collide; from all over Unicode, so that order and prefixes are tried.
const someKeys = [
  "a",
  "a/",
  "a/b",
  "a/b/c",
  "a0",
  "b",
  "%",
  "\u007f",
  "\u00e9",
  "\ud7ff",
  "\ue000",
  "\u{1f600}",
  "a/\u{10ffff}",
];
const keys = fc.constantFrom(...someKeys);
const prefixes = fc.constantFrom("", "a", "a/", "a/b", "b", "\ud7ff", "\u{1f600}", "%", "none");

type Step =
  | {
      readonly do: "transact";
      readonly compare: readonly (readonly [string, number])[];
      readonly puts: ReadonlyMap<string, Json | undefined>;
      readonly lease: number;
    }
  | { readonly do: "list"; readonly prefix: string; readonly limit: number }
  | { readonly do: "page" }
  | { readonly do: "watch"; readonly prefix: string; readonly back: number }
  | { readonly do: "grant" }
  | { readonly do: "revoke"; readonly lease: number }
  | { readonly do: "keepAlive"; readonly lease: number }
  | { readonly do: "time"; readonly ms: number }
  | { readonly do: "compact"; readonly back: number }
  | { readonly do: "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("transact" as const),
      // 0 absent, 1 right, 2 wrong: made into a revision when it runs.
      compare: fc.array(fc.tuple(keys, fc.nat(2)), { maxLength: 2 }),
      puts: fc
        .uniqueArray(fc.tuple(keys, fc.option(fc.jsonValue() as fc.Arbitrary<Json>, { nil: undefined })), {
          selector: ([key]) => key,
          maxLength: 4,
        })
        .map((pairs) => new Map(pairs)),
      lease: fc.integer({ min: -4, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("list" as const), prefix: prefixes, limit: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("page" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("watch" as const), prefix: prefixes, back: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("grant" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("revoke" as const), lease: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("keepAlive" as const), lease: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("time" as const), ms: fc.integer({ min: 1, max: 900 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compact" as const), back: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

/** One store under test, with what it handed out. */
interface Side {
  store: StateStore;
  readonly clock: TestClock;
  readonly leases: string[];
  pageToken: { readonly prefix: string; readonly token: string } | undefined;
}

async function changesAfter(store: StateStore, prefix: string, afterRevision: number): Promise<readonly StateEvent[]> {
  const events: StateEvent[] = [];
  for await (const event of store.watch({ prefix, afterRevision }, context)) {
    events.push(event);
    if (event.type === "progress") break;
  }
  return events;
}

/** What a step answers, with what differs between stores by design taken out. */
async function perform(side: Side, step: Step): Promise<unknown> {
  const { store, leases } = side;
  const leaseNames = (text: string): string =>
    leases.reduce((result, lease, index) => result.replaceAll(lease, `lease ${index}`), text);
  const answer = async (): Promise<unknown> => {
    switch (step.do) {
      case "transact": {
        const compare = [];
        for (const [key, kind] of step.compare) {
          const modRevision = (await store.get({ key }, context)).entry?.modRevision ?? 0;
          compare.push({ key, modRevision: kind === 0 ? 0 : kind === 1 ? modRevision : modRevision + 1 });
        }
        const lease = leases[step.lease];
        const operations = [...step.puts].map(([key, value]): StateOperation => {
          if (value === undefined) return { type: "delete", key };
          return { type: "put", key, value, ...(lease === undefined ? {} : { lease }) };
        });
        return store.transact({ compare, operations }, context);
      }
      case "list": {
        const { nextPageToken, ...page } = await store.list({ prefix: step.prefix, limit: step.limit }, context);
        side.pageToken = nextPageToken === undefined ? undefined : { prefix: step.prefix, token: nextPageToken };
        return { ...page, more: nextPageToken !== undefined };
      }
      case "page": {
        if (side.pageToken === undefined) return undefined;
        const { prefix, token } = side.pageToken;
        side.pageToken = undefined;
        const { nextPageToken, ...page } = await store.list({ prefix, limit: 2, pageToken: token }, context);
        if (nextPageToken !== undefined) side.pageToken = { prefix, token: nextPageToken };
        return { ...page, more: nextPageToken !== undefined };
      }
      case "watch": {
        const { revision } = await store.get({ key: "none" }, context);
        return changesAfter(store, step.prefix, Math.max(0, revision - step.back));
      }
      case "grant":
        leases.push((await store.grantLease({ ttlMs: 1_000 }, context)).lease);
        return undefined;
      case "revoke":
        return store.revokeLease({ lease: leases[step.lease] ?? "none" }, context);
      case "keepAlive":
        return store.keepAlive({ lease: leases[step.lease] ?? "none" }, context);
      case "time":
        return side.clock.advance(step.ms);
      case "compact": {
        const { revision } = await store.get({ key: "none" }, context);
        const oldest = Math.max(0, revision - step.back);
        await store.facets?.history?.compact({ revision: oldest }, context);
        // The edge: the oldest revision that is kept, and the one before it.
        return [
          await changesAfter(store, "", Math.max(0, oldest - 1)),
          await changesAfter(store, "", Math.max(0, oldest - 2)),
        ];
      }
      case "reopen":
        return undefined;
    }
  };
  try {
    return leaseNames(JSON.stringify((await answer()) ?? null));
  } catch (error) {
    return { code: (error as { readonly code?: string }).code };
  }
}

it("answers as the model does, whatever is done with it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const folder = mkdtempSync(join(tmpdir(), "vdc-state-model-"));
      const path = join(folder, "state.db");
      const [realClock, modelClock] = [createTestClock(), createTestClock()];
      let real = await SqliteStateStore.open({ path, clock: realClock });
      const left: Side = { store: real, clock: realClock, leases: [], pageToken: undefined };
      const right: Side = {
        store: new MemoryStateStore({ clock: modelClock }),
        clock: modelClock,
        leases: [],
        pageToken: undefined,
      };
      try {
        for (const [index, step] of steps.entries()) {
          // A restart begins each lease's time anew, so it is tried where no lease is.
          if (step.do === "reopen" && left.leases.length === 0) {
            await real.close();
            real = await SqliteStateStore.open({ path, clock: realClock });
            left.store = real;
          }
          expect(await perform(left, step), `step ${index}: ${step.do}`).toEqual(await perform(right, step));
        }
        expect(await real.list({ prefix: "" }, context)).toEqual(
          await right.store.list({ prefix: "" }, context).then((page) => ({
            ...page,
            entries: page.entries.map((entry) => renameLease(entry, right.leases, left.leases)),
          })),
        );
      } finally {
        await real.close();
        rmSync(folder, { recursive: true });
      }
    }),
    { seed, numRuns: process.env.VDC_DEEP ? 2_000 : 60 },
  );
});

function renameLease<T extends { readonly lease?: string }>(
  entry: T,
  from: readonly string[],
  to: readonly string[],
): T {
  return entry.lease === undefined ? entry : { ...entry, lease: to[from.indexOf(entry.lease)] ?? "unknown" };
}

it("keeps any key and value exactly", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vdc-state-fuzz-"));
  const store = await SqliteStateStore.open({ path: join(folder, "state.db"), keepRevisions: 100 });
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "binary", minLength: 1, maxLength: 200 }).filter((key) => !key.includes("\0")),
        fc.jsonValue({ stringUnit: "binary", noUnicodeString: false }) as fc.Arbitrary<Json>,
        async (key, value) => {
          await store.transact({ compare: [], operations: [{ type: "put", key, value }] }, context);
          const { entry } = await store.get({ key }, context);
          expect(entry?.key).toBe(key);
          // JSON has one zero.
          expect(JSON.stringify(entry?.value)).toBe(JSON.stringify(value));
          expect((await store.list({ prefix: key, limit: 1 }, context)).entries[0]?.key).toBe(key);
        },
      ),
      { seed, numRuns: process.env.VDC_DEEP ? 5_000 : 200 },
    );
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
});
