import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TableCodec } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { parseTable } from "../schema/parse-schema.ts";
import { readTransactionReply } from "../transaction/transaction-result.ts";
import { readRpcMessage } from "../wire/rpc-message.ts";
import { parseSchema } from "../schema/parse-schema.ts";
import { DatabaseCache } from "./database-cache.ts";
import { TableCache } from "./table-cache.ts";

const runs = process.env.VDC_DEEP ? 20_000 : 500;
const options = { seed: 7047, numRuns: runs };

const TABLE = parseTable({
  indexes: [["scalar"]],
  columns: {
    scalar: { type: "string" },
    optional: { type: { key: "integer", min: 0 } },
    set: { type: { key: "string", min: 0, max: "unlimited" } },
    record: { type: { key: "string", value: "integer", min: 0, max: "unlimited" } },
    map: { type: { key: "integer", value: "string", min: 0, max: "unlimited" } },
  },
});
const COLUMNS = new Set(TABLE.columns.keys());
const UUIDS = [1, 2, 3, 4].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`);

function newCache(): { readonly cache: DatabaseCache; readonly table: TableCache } {
  const table = new TableCache(new TableCodec("T", TABLE), COLUMNS);
  return { cache: new DatabaseCache(new Map([["T", table]])), table };
}

/** A row in plain terms, from which what the server would tell is made without any code of the client. */
interface Plain {
  readonly scalar: string;
  readonly optional: number | undefined;
  readonly set: ReadonlySet<string>;
  readonly record: ReadonlyMap<string, number>;
  readonly map: ReadonlyMap<number, string>;
}

const word = fc.constantFrom("", "a", "b", "10", "9", "__proto__", "constructor", "\u{1f600}", "\uffee");
const plain: fc.Arbitrary<Plain> = fc.record({
  scalar: word,
  optional: fc.option(fc.integer(), { nil: undefined }),
  set: fc.array(word).map((words) => new Set(words)),
  record: fc.array(fc.tuple(word, fc.nat(2))).map((pairs) => new Map(pairs)),
  map: fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), word)).map((pairs) => new Map(pairs)),
});

const wireRow = ({ scalar, optional, set, record, map }: Plain): Record<string, unknown> => ({
  scalar,
  optional: optional ?? ["set", []],
  set: set.size === 1 ? [...set][0] : ["set", [...set]],
  record: ["map", [...record]],
  map: ["map", [...map]],
});

/** ovsdb-server(7), 4.1.14: what is in one of two sets only; pairs whose keys are in one of two maps only, and new values. */
function difference(old: Plain, next: Plain): Record<string, unknown> {
  const sets = (a: ReadonlySet<string>, b: ReadonlySet<string>) => ["set", [...a.symmetricDifference(b)]];
  const maps = <K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>) => [
    "map",
    [...[...a].filter(([key]) => !b.has(key)), ...[...b].filter(([key, value]) => a.get(key) !== value)],
  ];
  return {
    ...(old.scalar === next.scalar ? {} : { scalar: next.scalar }),
    ...(old.optional === next.optional ? {} : { optional: next.optional ?? ["set", []] }),
    set: sets(old.set, next.set),
    record: maps(old.record, next.record),
    map: maps(old.map, next.map),
  };
}

function show(table: TableCache): unknown {
  return table.rows().map((row) => ({
    ...row,
    set: new Set(row.set as readonly string[]),
    record: new Map(Object.entries(row.record as object)),
  }));
}

describe("what a server tells", () => {
  test("row by row or difference by difference, the table is what the rows are", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.option(plain)), { maxLength: 25 }), (steps) => {
        const byDifference = newCache();
        const byRow = newCache();
        const rows = new Map<string, Plain>();
        for (const [at, next] of steps) {
          const uuid = UUIDS[at]!;
          const old = rows.get(uuid);
          if (next === null) {
            if (old === undefined) continue;
            rows.delete(uuid);
            byDifference.cache.apply({ T: { [uuid]: { delete: null } } }, "updates2");
            byRow.cache.apply({ T: { [uuid]: { old: wireRow(old) } } }, "updates");
            continue;
          }
          rows.set(uuid, next);
          const update = old === undefined ? { insert: wireRow(next) } : { modify: difference(old, next) };
          const changes = byDifference.cache.apply({ T: { [uuid]: update } }, "updates2");
          byRow.cache.apply({ T: { [uuid]: { ...(old && { old: wireRow(old) }), new: wireRow(next) } } }, "updates");
          const row = byDifference.table.get(uuid);
          for (const change of changes) if (change.kind !== "deleted") expect(change.row).toBe(row);
          expect(byDifference.table.find({ scalar: next.scalar })).toBeDefined();
        }
        const expected = [...rows].map(([_uuid, row]) => ({ _uuid, ...row }));
        const order = (list: unknown) =>
          (list as { readonly _uuid: string }[]).sort((a, b) => (a._uuid < b._uuid ? -1 : 1));
        expect(order(show(byDifference.table))).toEqual(order(expected));
        expect(order(show(byRow.table))).toEqual(order(expected));
        // A whole content that is equal changes nothing, and keeps the objects.
        const before = byRow.table.rows();
        const whole = Object.fromEntries([...rows].map(([uuid, row]) => [uuid, { initial: wireRow(row) }]));
        expect(byRow.cache.replace({ T: whole }, "updates2")).toEqual([]);
        expect(byRow.table.rows()).toEqual(before);
        expect(byRow.table.rows().every((row, index) => row === before[index])).toBe(true);
        // Another whole content is told as what must change.
        const changes = byRow.cache.replace({ T: {} }, "updates2");
        expect(changes.map(({ kind }) => kind)).toEqual(before.map(() => "deleted"));
      }),
      options,
    );
  });
});

/** JSON that is near to what OVSDB says. */
const nearJson: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      -0,
      1.5,
      2 ** 53,
      "",
      "set",
      "map",
      "uuid",
      UUIDS[0],
      ["set", []],
      ["uuid", UUIDS[1]],
    ),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        ...[
          "T",
          "U",
          ...UUIDS,
          "insert",
          "modify",
          "delete",
          "initial",
          "old",
          "new",
          ...COLUMNS,
          "__proto__",
          "error",
        ],
        ...[
          "id",
          "method",
          "params",
          "result",
          "tables",
          "columns",
          "type",
          "key",
          "value",
          "min",
          "max",
          "name",
          "version",
        ],
      ),
      tie("value"),
      { maxKeys: 4 },
    ),
  ),
})).value;

function throwsCodedAtMost(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
  }
}

describe("what no server tells is a coded error", () => {
  test("as updates: and the table stays as it was", () => {
    const edits = fc.tuple(
      fc.constantFrom("insert", "modify", "delete", "initial", "old", "new"),
      fc.constantFrom(...COLUMNS),
      nearJson,
    );
    const updates = fc.oneof(
      nearJson,
      fc.array(fc.tuple(fc.nat(3), edits), { maxLength: 4 }).map((list) => ({
        T: Object.fromEntries(list.map(([at, [kind, column, value]]) => [UUIDS[at], { [kind]: { [column]: value } }])),
      })),
    );
    fc.assert(
      fc.property(updates, fc.constantFrom("updates", "updates2"), fc.boolean(), (json, format, whole) => {
        const { cache, table } = newCache();
        cache.apply({ T: { [UUIDS[0]!]: { insert: { scalar: "kept", set: ["set", ["a", "b"]] } } } }, "updates2");
        const before = table.rows();
        try {
          if (whole) cache.replace(json, format);
          else cache.apply(json, format);
        } catch (error) {
          if (!(error instanceof OvsdbError)) throw error;
          expect(error.code).toBe("OVSDB_PROTOCOL");
          expect(table.rows()).toEqual(before);
        }
        for (const row of table) expect(Object.keys(row).sort()).toEqual(["_uuid", ...COLUMNS].sort());
        expect(Object.hasOwn(Object.prototype, "scalar")).toBe(false);
      }),
      options,
    );
  });

  test("as a schema, a message, or the reply to a transaction", () => {
    fc.assert(
      fc.property(nearJson, (json) => {
        throwsCodedAtMost(() => parseSchema(json));
        throwsCodedAtMost(() => parseSchema({ name: "x", version: "1.0.0", tables: { T: json } }));
        throwsCodedAtMost(() =>
          parseSchema({ name: "x", version: "1.0.0", tables: { T: { columns: { a: { type: json } } } } }),
        );
        throwsCodedAtMost(() => readRpcMessage(json));
        throwsCodedAtMost(() => readTransactionReply(json, [{ operation: "comment", table: undefined }]));
        throwsCodedAtMost(() => readTransactionReply([json], [{ operation: "comment", table: undefined }]));
      }),
      options,
    );
  });
});
