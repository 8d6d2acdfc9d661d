import type { MonitoredRows, OvsdbMonitor, RowChange, Uuid } from "@vdc-os/ovsdb";
import { expect } from "vitest";

/** Rebuilds a monitor's tables from the changes it tells, and is angry about changes that can't be. */
export class Follower<R extends MonitoredRows> {
  readonly monitor: OvsdbMonitor<R>;
  readonly #rows = new Map<string, { readonly _uuid: Uuid }>();
  readonly #tables: readonly (keyof R & string)[];
  changes = 0;

  constructor(monitor: OvsdbMonitor<R>, tables: readonly (keyof R & string)[]) {
    this.monitor = monitor;
    this.#tables = tables;
    for (const table of tables) for (const row of monitor.tables[table]) this.#rows.set(`${table} ${row._uuid}`, row);
    monitor.on("changes", (changes) => {
      for (const change of changes) this.#follow(change);
    });
  }

  #follow(change: RowChange<R>): void {
    this.changes += 1;
    const { table } = change;
    const key = `${table} ${(change.kind === "deleted" ? change.old : change.row)._uuid}`;
    if (this.#rows.get(key) !== (change.kind === "added" ? undefined : change.old)) {
      throw new Error(`a change of '${key}' tells another old row than there was`);
    }
    if (change.kind === "deleted") this.#rows.delete(key);
    else this.#rows.set(key, change.row);
    if (change.kind === "updated") expect(change.columns.length).toBeGreaterThan(0);
  }

  /** That the changes told add up to the tables. */
  check(): void {
    let count = 0;
    for (const table of this.#tables) {
      for (const row of this.monitor.tables[table]) {
        count += 1;
        if (this.#rows.get(`${table} ${row._uuid}`) !== row) throw new Error(`row '${row._uuid}' was not told`);
      }
    }
    expect(this.#rows.size).toBe(count);
  }
}

/** A row of ours, such that it can be compared with one on the wire: every column a sorted list of its elements. */
export function plainRow(row: object): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]): [string, readonly string[]] => {
      if (value === undefined) return [column, []];
      if (Array.isArray(value)) return [column, sorted(value)];
      if (value instanceof Map) return [column, sorted([...value])];
      if (typeof value === "object") return [column, sorted(Object.entries(value as object))];
      return [column, sorted([value])];
    }),
  );
}

/** The same of a row as it came over the wire (RFC 7047, section 5.1), read without any code of the client. */
export function plainWireRow(row: Readonly<Record<string, unknown>>): Record<string, readonly string[]> {
  const atom = (json: unknown): unknown => (Array.isArray(json) ? json[1] : json);
  return Object.fromEntries(
    Object.entries(row).map(([column, value]): [string, readonly string[]] => {
      if (!Array.isArray(value) || value[0] === "uuid") return [column, sorted([atom(value)])];
      const elements = value[1] as readonly unknown[];
      if (value[0] === "map") return [column, sorted(elements.map((pair) => (pair as readonly unknown[]).map(atom)))];
      return [column, sorted(elements.map(atom))];
    }),
  );
}

function sorted(elements: readonly unknown[]): readonly string[] {
  return elements.map((element) => JSON.stringify(element)).sort();
}
