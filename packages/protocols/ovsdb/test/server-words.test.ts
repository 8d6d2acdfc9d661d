import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOvsdbServer } from "@vdc-os/ovsdb/testing";
import { expect, test } from "vitest";
import { daemonsPresent } from "./daemons-present.ts";
import { runTestOvsdb } from "./test-ovsdb.ts";

const SCHEMA = {
  name: "words",
  version: "1.0.0",
  tables: {
    simple: {
      isRoot: true,
      columns: {
        i: { type: "integer" },
        s: { type: { key: "string", min: 0, max: "unlimited" } },
        peer: { type: { key: { type: "uuid", refTable: "simple", refType: "weak" }, min: 0 } },
      },
    },
  },
};

/** Uuids by the order in which they come. */
function withoutUuids(text: string): string {
  const seen: string[] = [];
  return text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (uuid) => {
    if (!seen.includes(uuid)) seen.push(uuid);
    return `<${seen.indexOf(uuid)}>`;
  });
}

test.skipIf(!daemonsPresent("ovsdb"))("tables are printed before and after every step of another client", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ovsdb-words-"));
  try {
    const schema = join(folder, "words.ovsschema");
    await writeFile(schema, JSON.stringify(SCHEMA));
    await using server = await startOvsdbServer({ source: { schema } });
    const insert = { op: "insert", table: "simple", row: { i: 1, s: ["set", ["b", "a"]] }, "uuid-name": "me" };
    const point = { op: "update", table: "simple", where: [["i", "==", 1]], row: { peer: ["named-uuid", "me"] } };
    const mutate = {
      op: "mutate",
      table: "simple",
      where: [],
      mutations: [
        ["s", "delete", "a"],
        ["i", "+=", 6],
      ],
    };
    const { status, out, err } = await runTestOvsdb([
      "idl",
      schema,
      server.remote,
      JSON.stringify(["words", insert, point]),
      "reconnect",
      JSON.stringify(["words", mutate]),
      JSON.stringify(["words", { op: "delete", table: "simple", where: [] }]),
    ]);
    expect({ status, err }).toEqual({ status: 0, err: "" });
    expect(withoutUuids(out).trim().split("\n")).toEqual([
      "000: empty",
      '001: {"error":null,"result":[{"uuid":["uuid","<0>"]},{"count":1}]}',
      '002: simple i=1 s=["set",["a","b"]] peer=["uuid","<0>"] uuid=<0>',
      "003: reconnect",
      '004: simple i=1 s=["set",["a","b"]] peer=["uuid","<0>"] uuid=<0>',
      '005: {"error":null,"result":[{"count":1}]}',
      '006: simple i=7 s="b" peer=["uuid","<0>"] uuid=<0>',
      '007: {"error":null,"result":[{"count":1}]}',
      "008: empty",
    ]);
    const transacted = await runTestOvsdb(["transact", server.remote, schema, '["words",{"op":"abort"}]']);
    expect(transacted.out).toBe('[{"details":"aborted by request","error":"aborted"}]\n');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
