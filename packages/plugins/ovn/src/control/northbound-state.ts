import { isDeepStrictEqual } from "node:util";
import { VdcError } from "@vdc-os/core";
import { InsertedRow, OvsdbError, type OvsdbClient, type Transaction } from "@vdc-os/ovsdb";
import type { OvnNorthboundTables } from "@vdc-os/ovsdb/ovn-northbound";
import type { DesiredRow, OwnedTable } from "./desired-row.ts";
import { desiredRows } from "./desired-rows.ts";
import { isOfSwitch, marks } from "./names.ts";
import type { KeptSwitch, PortRecord, SwitchRecord } from "./records.ts";

/** What a change does to one switch: `undefined` for the record removes it with everything that is part of it. */
export interface SwitchChange {
  readonly switchId: string;
  readonly record?: SwitchRecord | undefined;
  /** Ports that are new, or other than before. */
  readonly ports?: readonly PortRecord[];
}

interface NorthboundRow {
  readonly _uuid: string;
  readonly external_ids: Readonly<Record<string, string>>;
  readonly [column: string]: unknown;
}

interface NorthboundTable extends Iterable<NorthboundRow> {
  get(uuid: string): NorthboundRow | undefined;
}

/** The tables that are followed. */
export type NorthboundTables = Readonly<Record<OwnedTable, NorthboundTable>>;

/** Options of {@link NorthboundState}. */
export interface NorthboundStateOptions {
  readonly client: OvsdbClient<OvnNorthboundTables>;
  readonly tables: NorthboundTables;
  readonly provider: string;
  /** Held by the one manager that may change anything. */
  readonly lock: string;
  readonly chassisOf: (host: string) => string;
}

const ownedTables: readonly OwnedTable[] = [
  "Logical_Switch",
  "Logical_Switch_Port",
  "ACL",
  "QoS",
  "DHCP_Options",
  "Load_Balancer",
  "Logical_Router",
  "Logical_Router_Port",
];

/**
 * What the provider keeps, which is what OVN's northbound database says: the records lie in the rows that they are realised by. A change is one
 * transaction of all that follows from it, so that nothing is ever half there. Changes run one after another.
 */
export class NorthboundState {
  readonly switches: Map<string, KeptSwitch> = new Map();
  readonly #options: NorthboundStateOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NorthboundStateOptions) {
    this.#options = options;
    this.#read();
  }

  /** Decides on a change, and makes it durable. Resolves with the number by which chassis acknowledge it. */
  change<T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }): Promise<{
    readonly result: T;
    readonly sequence: number | undefined;
  }> {
    const done = this.#last.then(async () => {
      this.#read();
      const { changes, result } = decide();
      const sequence = changes.length === 0 ? undefined : await this.#commit(changes);
      return { result, sequence };
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Asks every chassis to acknowledge what the database says now. */
  async askAll(): Promise<number> {
    const { client } = this.#options;
    const transaction = client.transaction();
    const read = ask(transaction);
    return sequenceOf((await client.transact(transaction).catch(fail)).rows(read));
  }

  #read(): void {
    const { tables } = this.#options;
    this.switches.clear();
    const found = new Map<string, { record: SwitchRecord; ports: Map<string, PortRecord> }>();
    for (const row of this.#own(tables.Logical_Switch)) {
      const text = row.external_ids[marks.record];
      if (text === undefined) continue;
      const record = JSON.parse(text) as SwitchRecord;
      found.set(record.spec.switchId, { record, ports: new Map() });
    }
    for (const row of this.#own(tables.Logical_Switch_Port)) {
      const text = row.external_ids[marks.record];
      if (text === undefined) continue;
      const port = JSON.parse(text) as PortRecord;
      found.get(port.switchId)?.ports.set(port.portKey, port);
    }
    for (const [switchId, kept] of found) this.switches.set(switchId, kept);
  }

  async #commit(changes: readonly SwitchChange[]): Promise<number> {
    const { client, lock } = this.#options;
    const transaction = client.transaction();
    transaction.assert(lock);
    for (const change of changes) this.#plan(transaction, change);
    transaction.commit({ durable: true });
    const read = ask(transaction);
    const result = await client.transact(transaction).catch(fail);
    this.#read();
    return sequenceOf(result.rows(read));
  }

  /** Puts into the transaction what makes a switch's rows as they should be. */
  #plan(transaction: Transaction<OvnNorthboundTables>, change: SwitchChange): void {
    const { provider, chassisOf } = this.#options;
    const { switchId } = change;
    const kept = this.switches.get(switchId);
    const record = "record" in change ? change.record : kept?.record;
    const ports = new Map(kept?.ports);
    for (const port of change.ports ?? []) ports.set(port.portKey, port);
    const wanted = record === undefined ? [] : desiredRows({ provider, chassisOf, record, ports: [...ports.values()] });
    new RowPlan(transaction, this.#rowsOf(switchId)).apply(wanted);
  }

  #rowsOf(switchId: string): readonly { readonly table: OwnedTable; readonly row: NorthboundRow }[] {
    return ownedTables.flatMap((table) =>
      [...this.#own(this.#options.tables[table])]
        .filter((row) => isOfSwitch(row.external_ids[marks.key] ?? "", switchId))
        .map((row) => ({ table, row })),
    );
  }

  *#own(table: NorthboundTable): Iterable<NorthboundRow> {
    for (const row of table) if (row.external_ids[marks.provider] === this.#options.provider) yield row;
  }
}

/** Turns rows into others with as few operations as that takes. */
class RowPlan {
  readonly #transaction: LooseTransaction;
  readonly #found = new Map<string, { readonly table: OwnedTable; readonly row: NorthboundRow }>();
  readonly #inserted = new Map<string, InsertedRow<string>>();

  constructor(
    transaction: Transaction<OvnNorthboundTables>,
    found: readonly { readonly table: OwnedTable; readonly row: NorthboundRow }[],
  ) {
    this.#transaction = transaction as unknown as LooseTransaction;
    for (const each of found) this.#found.set(each.row.external_ids[marks.key] ?? "", each);
  }

  apply(wanted: readonly DesiredRow[]): void {
    const parents = this.#parents();
    const kept = new Set<string>();
    const fresh: DesiredRow[] = [];
    for (const row of wanted) {
      const found = this.#found.get(row.key);
      // A logical port that changes its network is another one for OVN: it is made anew.
      const isSame =
        found !== undefined && (row.parent === undefined || parents.get(found.row._uuid) === row.parent.key);
      if (isSame) kept.add(row.key);
      else fresh.push(row);
    }
    for (const [key, { table, row }] of this.#found) {
      if (kept.has(key)) continue;
      const parent = parents.get(row._uuid);
      const at = parent === undefined ? undefined : this.#found.get(parent)?.row._uuid;
      if (at !== undefined && parent !== undefined && kept.has(parent)) {
        this.#transaction.mutate(parentOf(table), at, [[columnOf(table), "delete", [row._uuid]]]);
      }
      // Rows that nothing refers to go by themselves; those of these tables are deleted.
      if (rootTables.includes(table)) this.#transaction.delete(table, row._uuid);
    }
    // What others refer to comes first.
    const order: readonly OwnedTable[] = [
      "Load_Balancer",
      "DHCP_Options",
      "Logical_Router",
      "Logical_Router_Port",
      "Logical_Switch",
      "Logical_Switch_Port",
      "ACL",
      "QoS",
    ];
    for (const table of order) {
      for (const row of fresh) if (row.table === table) this.#insert(row);
      for (const row of wanted) if (row.table === table && kept.has(row.key)) this.#update(row);
    }
  }

  #insert(row: DesiredRow): void {
    const columns = { ...row.columns, ...this.#references(row) };
    const inserted = this.#transaction.insert(row.table, columns);
    this.#inserted.set(row.key, inserted);
    if (row.parent === undefined) return;
    const parent = this.#inserted.get(row.parent.key) ?? this.#found.get(row.parent.key)?.row._uuid;
    if (parent === undefined) throw new Error(`row '${row.key}' has no parent '${row.parent.key}'`);
    this.#transaction.mutate(parentOf(row.table), parent, [[row.parent.column, "insert", [inserted]]]);
  }

  #update(row: DesiredRow): void {
    const found = this.#found.get(row.key)?.row;
    if (found === undefined) return;
    const columns = { ...row.columns, ...this.#references(row) };
    const changed = Object.entries(columns).filter(
      ([name, value]) => !isDeepStrictEqual(plain(found[name]), plain(value)),
    );
    if (changed.length > 0) this.#transaction.update(row.table, found._uuid, Object.fromEntries(changed));
  }

  #references({ references = {} }: DesiredRow): Readonly<Record<string, unknown>> {
    return Object.fromEntries(
      Object.entries(references).map(([column, target]) => {
        const rows = target.keys.flatMap((key) => this.#inserted.get(key) ?? this.#found.get(key)?.row._uuid ?? []);
        return [column, column === "dhcpv4_options" ? rows[0] : rows];
      }),
    );
  }

  /** The key of the switch that a row is part of, by the row's uuid. */
  #parents(): ReadonlyMap<string, string> {
    const parents = new Map<string, string>();
    for (const [key, { table, row }] of this.#found) {
      if (table !== "Logical_Switch" && table !== "Logical_Router") continue;
      for (const column of ["ports", "acls", "qos_rules"]) {
        for (const uuid of (row[column] ?? []) as readonly string[]) parents.set(uuid, key);
      }
    }
    return parents;
  }
}

/** The client's transaction without its types by table: rows here are of several tables at once. */
interface LooseTransaction {
  insert(table: string, columns: object): InsertedRow<string>;
  update(table: string, where: unknown, columns: object): unknown;
  mutate(table: string, where: unknown, mutations: readonly unknown[]): unknown;
  delete(table: string, where: unknown): unknown;
}

/** Rows of these stay without anything that refers to them. */
const rootTables: readonly OwnedTable[] = ["Logical_Switch", "Logical_Router", "DHCP_Options", "Load_Balancer"];

function parentOf(table: OwnedTable): OwnedTable {
  return table === "Logical_Router_Port" ? "Logical_Router" : "Logical_Switch";
}

function columnOf(table: OwnedTable): string {
  if (table === "ACL") return "acls";
  return table === "QoS" ? "qos_rules" : "ports";
}

/** Columns of a map have no prototype in the client's rows, and sets have an order of their own. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return [...value].map(String).sort();
  if (typeof value === "object" && value !== null && !(value instanceof InsertedRow)) return { ...value };
  return value;
}

function ask(transaction: Transaction<OvnNorthboundTables>) {
  transaction.mutate("NB_Global", [], [["nb_cfg", "+=", 1]]);
  return transaction.select("NB_Global", [], ["nb_cfg"]);
}

function sequenceOf(rows: readonly { readonly nb_cfg: number }[]): number {
  return rows[0]?.nb_cfg ?? 0;
}

/** A failure of the database in the contract's terms. */
function fail(error: unknown): never {
  if (!(error instanceof OvsdbError)) throw error;
  if (error.details?.error === "not owner") {
    throw new VdcError(
      "ABORTED",
      "another manager has taken these switches over: this one can change nothing any more",
      {
        reason: "VDC_SUPERSEDED",
        retryable: false,
        cause: error,
      },
    );
  }
  throw new VdcError("UNAVAILABLE", `OVN's northbound database did not do it: ${error.message}`, {
    reason: "VDC_OVN_UNAVAILABLE",
    cause: error,
  });
}
