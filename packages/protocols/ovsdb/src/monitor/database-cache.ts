import type { AnyRow } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { isUuidText, syntaxError } from "../values/atom.ts";
import type { RowChange } from "./row-change.ts";
import type { CachedRow, TableCache } from "./table-cache.ts";

/** A change inside the package, where the types of rows are not known. */
export type AnyChange = RowChange<{ readonly [table: string]: CachedRow }>;

/** How a reply or notification tells rows: `updates` is RFC 7047's `<table-updates>`, `updates2` is `<table-updates2>` of ovsdb-server(7), 4.1.14. */
export type UpdateFormat = "updates" | "updates2";

/** A row of a table as it will be. `undefined`: it goes. */
interface Step {
  readonly table: TableCache;
  readonly uuid: string;
  readonly row: AnyRow | undefined;
}

/** Reads a whole row, or answers `undefined` for one that the monitor doesn't see. */
export type RowReader = (table: TableCache, uuid: string, json: unknown) => AnyRow | undefined;

/**
 * The tables of one monitor. An update is read as a whole before any of it is applied, so that a bad one leaves the cache as it was; what changed is told
 * once all of it is applied.
 */
export class DatabaseCache {
  readonly tables: ReadonlyMap<string, TableCache>;
  readonly #read: RowReader;

  constructor(
    tables: ReadonlyMap<string, TableCache>,
    read: RowReader = (table, uuid, json) => table.codec.decodeRow(uuid, json, table.columns),
  ) {
    this.tables = tables;
    this.#read = read;
  }

  /**
   * Applies what changed since the last update.
   *
   * @throws `OVSDB_PROTOCOL`: the server told something impossible, such as a change of a row that isn't there
   */
  apply(json: unknown, format: UpdateFormat): readonly AnyChange[] {
    const steps: Step[] = [];
    for (const [table, uuid, update] of this.#entries(json)) {
      const old = table.get(uuid);
      const row =
        format === "updates" ? this.#readUpdate(table, uuid, update) : this.#readUpdate2(table, old, uuid, update);
      steps.push({ table, uuid, row });
    }
    return this.#commit(steps);
  }

  /** Takes a whole content in place of what there was. Rows that are equal stay the same objects. */
  replace(json: unknown, format: UpdateFormat): readonly AnyChange[] {
    const seen = new Map<TableCache, Set<string>>([...this.tables.values()].map((table) => [table, new Set()]));
    const steps: Step[] = [];
    for (const [table, uuid, update] of this.#entries(json)) {
      const content = format === "updates" ? update.new : (update.initial ?? update.insert);
      if (content === undefined) throw impossible(table, uuid, "a whole content tells new rows only");
      const row = this.#read(table, uuid, content);
      if (row === undefined) continue;
      seen.get(table)!.add(uuid);
      steps.push({ table, uuid, row });
    }
    for (const [table, uuids] of seen) {
      for (const { _uuid } of table) if (!uuids.has(_uuid)) steps.push({ table, uuid: _uuid, row: undefined });
    }
    return this.#commit(steps);
  }

  /** RFC 7047, section 4.1.6: `new` is the whole row, `old` what it had. */
  #readUpdate(table: TableCache, uuid: string, update: Readonly<Record<string, unknown>>): AnyRow | undefined {
    if (update.new !== undefined) return this.#read(table, uuid, update.new);
    if (update.old === undefined) throw impossible(table, uuid, "an update has 'old' or 'new'");
    return undefined;
  }

  #readUpdate2(
    table: TableCache,
    old: AnyRow | undefined,
    uuid: string,
    update: Readonly<Record<string, unknown>>,
  ): AnyRow | undefined {
    if (update.modify !== undefined) {
      if (old === undefined) throw impossible(table, uuid, "a row that isn't there can't be modified");
      return table.codec.applyDifference(old, update.modify, table.columns);
    }
    const content = update.insert ?? update.initial;
    if (content !== undefined) return this.#read(table, uuid, content);
    // A deletion's content is null.
    if (!Object.hasOwn(update, "delete")) throw impossible(table, uuid, "unknown kind of update");
    if (old === undefined) throw impossible(table, uuid, "a row that isn't there can't be deleted");
    return undefined;
  }

  *#entries(json: unknown): Generator<[TableCache, string, Readonly<Record<string, unknown>>]> {
    if (!isObject(json)) throw syntaxError(json, "expected an object with tables");
    for (const [name, rows] of Object.entries(json)) {
      const table = this.tables.get(name);
      if (table === undefined) {
        throw new OvsdbError(
          "OVSDB_PROTOCOL",
          `The server told of table '${name.slice(0, 80)}', which was not asked for.`,
          {
            details: { table: name.slice(0, 80) },
          },
        );
      }
      if (!isObject(rows)) throw syntaxError(rows, `expected an object with rows of table '${name}'`);
      for (const [uuid, update] of Object.entries(rows)) {
        if (!isUuidText(uuid) || !isObject(update))
          throw syntaxError({ [uuid]: update }, "expected a row's update by uuid");
        yield [table, uuid.toLowerCase(), update];
      }
    }
  }

  #commit(steps: readonly Step[]): readonly AnyChange[] {
    const changes: AnyChange[] = [];
    for (const { table, uuid, row } of steps) {
      const old = table.get(uuid);
      if (row === undefined) {
        if (old === undefined) continue;
        table.delete(uuid);
        changes.push({ kind: "deleted", table: table.name, old });
      } else if (old === undefined) {
        table.put(row);
        changes.push({ kind: "added", table: table.name, row: row as CachedRow });
      } else {
        const columns = old === row ? [] : table.codec.changedColumns(old, row, table.columns);
        if (columns.length === 0) continue;
        table.put(row);
        changes.push({ kind: "updated", table: table.name, old, row: row as CachedRow, columns });
      }
    }
    return changes;
  }
}

function impossible(table: TableCache, uuid: string, text: string): OvsdbError {
  return new OvsdbError("OVSDB_PROTOCOL", `Row '${uuid}' of table '${table.name}': ${text}.`, {
    details: { table: table.name },
  });
}
