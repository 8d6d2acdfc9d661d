import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseModel, OvsdbClient, Table, Transaction, Uuid } from "@vdc-os/ovsdb";

export interface ThingRow {
  readonly _uuid: Uuid<"Thing">;
  readonly name: string;
  readonly number: number;
  readonly real: number;
  readonly flag: boolean;
  readonly maybe: number | undefined;
  readonly words: readonly string[];
  readonly numbers: readonly number[];
  readonly friends: readonly Uuid<"Thing">[];
  readonly labels: Readonly<Record<string, string>>;
  readonly queues: ReadonlyMap<number, string>;
}

export interface CounterRow {
  readonly _uuid: Uuid<"Counter">;
  readonly count: number;
}

export type RandomTables = {
  readonly Thing: Table<ThingRow, "name">;
  readonly Counter: Table<CounterRow>;
};

/** A database with a column of every shape. */
export const RandomDatabase: DatabaseModel<RandomTables> = {
  name: "Random",
  version: "1.0.0",
  tables: {
    Thing: {
      isRoot: true,
      indexes: [["name"]],
      columns: {
        name: { type: "string", mutable: false },
        number: { type: "integer" },
        real: { type: "real" },
        flag: { type: "boolean" },
        maybe: { type: { key: "integer", min: 0 } },
        words: { type: { key: "string", min: 0, max: "unlimited" } },
        numbers: { type: { key: "integer", min: 0, max: 100 } },
        friends: { type: { key: { type: "uuid", refTable: "Thing", refType: "weak" }, min: 0, max: "unlimited" } },
        labels: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        queues: { type: { key: "integer", value: "string", min: 0, max: "unlimited" } },
      },
    },
    Counter: { isRoot: true, maxRows: 1, columns: { count: { type: "integer" } } },
  },
};

/** Writes the schema into a folder, for `ovsdb-tool`. */
export async function writeRandomSchema(folder: string): Promise<string> {
  const path = join(folder, "random.ovsschema");
  const { name, version, tables } = RandomDatabase;
  await writeFile(path, JSON.stringify({ name, version, tables }));
  return path;
}

/** Numbers that follow from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Fills a transaction with a few random changes and one of the counter. */
export function fillRandomly(
  transaction: Transaction<RandomTables>,
  random: () => number,
  things: readonly ThingRow[],
): void {
  const upTo = (limit: number): number => Math.floor(random() * limit);
  const words = (): string[] => [...new Set(Array.from({ length: upTo(5) }, () => WORDS[upTo(WORDS.length)]!))];
  const numbers = (): number[] => [...new Set(Array.from({ length: upTo(6) }, () => upTo(40) - 20))];
  const labels = (): Record<string, string> => Object.fromEntries(words().map((word) => [word, `${upTo(3)}`]));
  const queues = (): Map<number, string> => new Map(numbers().map((number) => [number, `${upTo(3)}`]));
  const pick = (): ThingRow | undefined => things[upTo(things.length)];
  for (let change = 0; change <= upTo(4); change += 1) {
    const thing = pick();
    if (thing === undefined || (random() < 0.3 && things.length < 200)) {
      const friend = pick();
      transaction.insert("Thing", {
        name: `thing${Math.floor(random() * 2 ** 50)}`,
        number: upTo(100),
        real: upTo(100) / 8,
        flag: random() < 0.5,
        maybe: random() < 0.5 ? upTo(9) : undefined,
        words: words(),
        numbers: numbers(),
        friends: friend === undefined ? [] : [friend._uuid],
        labels: labels(),
        queues: queues(),
      });
      continue;
    }
    const where = { name: thing.name };
    switch (upTo(8)) {
      case 0:
        transaction.delete("Thing", where);
        break;
      case 1:
        transaction.update("Thing", where, { labels: labels(), words: words(), queues: queues() });
        break;
      case 2:
        transaction.update("Thing", where, { maybe: random() < 0.5 ? undefined : upTo(9), flag: random() < 0.5 });
        break;
      case 3:
        transaction.mutate("Thing", where, [["words", random() < 0.5 ? "insert" : "delete", words()]]);
        break;
      case 4:
        transaction.mutate("Thing", where, [
          ["labels", "delete", words()],
          ["queues", "delete", numbers()],
        ]);
        break;
      case 5:
        transaction.mutate("Thing", where, [
          ["labels", "insert", labels()],
          ["queues", "insert", queues()],
        ]);
        break;
      case 6:
        transaction.update("Thing", where, { friends: things.filter(() => random() < 0.1).map(({ _uuid }) => _uuid) });
        break;
      default:
        transaction.update("Thing", where, { number: upTo(100), real: -upTo(100) / 8, numbers: numbers() });
    }
  }
  transaction.mutate("Counter", [], [["count", "+=", 1]]);
}

const WORDS = ["", "a", "b", "10", "2", "__proto__", "constructor", "\u{1f600}", "\uffee", "ü", "\n", '"'];

/** Reads the counter, by the client's own connection. */
export async function readCount(client: OvsdbClient<RandomTables>): Promise<number> {
  const transaction = client.transaction();
  const select = transaction.select("Counter", [], ["count"]);
  return (await client.transact(transaction)).rows(select)[0]?.count ?? 0;
}
