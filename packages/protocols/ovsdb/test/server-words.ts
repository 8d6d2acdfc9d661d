import { connectOvsdb, type DatabaseModel, parseSchema, type UntypedRow } from "@vdc-os/ovsdb";
import { readFile } from "node:fs/promises";
import { ColumnCodec } from "../src/values/column-codec.ts";
import { formatValue } from "../src/values/constraints.ts";
import { formatExactJson, parseExactJson } from "./exact-json.ts";
import type { Word } from "./ovsdb-words.ts";

async function readModel(path: string): Promise<DatabaseModel> {
  // A schema file has the shape of a model; what it has more is for the server.
  return JSON.parse(await readFile(path, "utf8")) as DatabaseModel;
}

/** Every row of every table, in the order of their text, with uuids by the order in which they were first seen. */
function printTables(
  tables: Readonly<Record<string, Iterable<UntypedRow>>>,
  schema: ReturnType<typeof parseSchema>,
  step: number,
): readonly string[] {
  const prefix = `${String(step).padStart(3, "0")}:`;
  const lines: string[] = [];
  for (const [name, rows] of Object.entries(tables)) {
    const columns = schema.tables.get(name)!.columns;
    for (const row of rows) {
      const shown = [...columns].map(([column, { type }]) => {
        const codec = new ColumnCodec(column, type);
        return `${column}=${formatExactJson(formatValue(type, codec.toElements(row[column] as string)))}`;
      });
      lines.push(`${prefix} ${name} ${shown.join(" ")} uuid=${row._uuid}`);
    }
  }
  return lines.length === 0 ? [`${prefix} empty`] : lines.sort();
}

/** The words that need a server: a remote as OVS writes it. */
export const serverWords: Readonly<Record<string, Word>> = {
  /** transact REMOTE SCHEMA-FILE [DATABASE, OPERATION...]...: sends raw transactions and prints their raw results. */
  transact: async (remotes, schema, ...transactions) => {
    await using client = await connectOvsdb({ remotes: remotes!, model: await readModel(schema!) });
    const lines: string[] = [];
    for (const transaction of transactions) {
      const reply = await client.request("transact", parseExactJson(transaction) as readonly unknown[]);
      lines.push(formatExactJson(reply));
    }
    return lines;
  },
  /** idl SCHEMA-FILE REMOTE STEP...: follows every table while it takes steps, raw transactions or 'reconnect', and prints the tables before each and at the end. */
  idl: async (schemaPath, remotes, ...steps) => {
    const model = await readModel(schemaPath!);
    const schema = parseSchema(JSON.parse(await readFile(schemaPath!, "utf8")));
    const tables = Object.fromEntries([...schema.tables.keys()].map((table) => [table, true as const]));
    await using client = await connectOvsdb({ remotes: remotes!, model });
    await using other = await connectOvsdb({ remotes: remotes!, model });
    let monitor = await client.monitor(tables);
    const lines: string[] = [...printTables(monitor.tables, schema, 0)];
    let number = 1;
    for (const step of steps) {
      const prefix = `${String(number).padStart(3, "0")}:`;
      if (step === "reconnect") {
        lines.push(`${prefix} reconnect`);
        await monitor.cancel();
        monitor = await client.monitor(tables);
      } else {
        const reply = await other.request("transact", parseExactJson(step) as readonly unknown[]);
        lines.push(`${prefix} ${formatExactJson({ error: null, result: reply })}`);
        // The server tells every client of a change before it answers a request that came later.
        await client.listDatabases();
      }
      number += 1;
      lines.push(...printTables(monitor.tables, schema, number));
      number += 1;
    }
    return lines;
  },
};
