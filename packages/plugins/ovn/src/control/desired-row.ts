/** The tables of the northbound database that rows are kept in. */
export type OwnedTable =
  | "Logical_Switch"
  | "Logical_Switch_Port"
  | "ACL"
  | "QoS"
  | "DHCP_Options"
  | "Load_Balancer"
  | "Logical_Router"
  | "Logical_Router_Port";

/** A row that should be there. */
export interface DesiredRow {
  readonly table: OwnedTable;
  /** Names the row among those of the provider. */
  readonly key: string;
  readonly columns: Readonly<Record<string, unknown>>;
  /** The logical switch, or router, that it is part of. */
  readonly parent?: { readonly key: string; readonly column: "ports" | "acls" | "qos_rules" };
  /** Columns that hold other rows of the provider, by their keys. */
  readonly references?: Readonly<Record<string, { readonly table: OwnedTable; readonly keys: readonly string[] }>>;
}

/** The `external_ids` that mark a row as the provider's, by its key. */
export type RowMarks = (key: string, extra?: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
