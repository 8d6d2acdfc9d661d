import type { AtomType } from "../schema/column-type.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";
import { parseSchema } from "../schema/parse-schema.ts";
import type { DatabaseShape, UntypedTables } from "./row-types.ts";

/** A column's atoms in a model: the name of an atomic type, or a reference to a table. */
export type ModelAtom =
  | AtomType
  | { readonly type: "uuid"; readonly refTable: string; readonly refType?: "strong" | "weak" };

/** A column in a model, written as a schema writes it. */
export interface ModelColumn {
  readonly type:
    | AtomType
    | {
        readonly key: ModelAtom;
        readonly value?: ModelAtom;
        readonly min?: 0 | 1;
        readonly max?: number | "unlimited";
      };
  readonly mutable?: boolean;
  readonly ephemeral?: boolean;
}

/** A table in a model. */
export interface ModelTable {
  readonly columns: { readonly [column: string]: ModelColumn };
  readonly isRoot?: boolean;
  readonly maxRows?: number;
  readonly indexes?: readonly (readonly string[])[];
}

/**
 * What a client knows of a database before it meets a server: the columns, and (at compile time, `D`) the rows. `vdc-ovsdb-modelgen` writes one from an
 * `.ovsschema` file. A server with more tables and columns than the model is fine; one with fewer shows defaults in their place and refuses writes.
 */
export interface DatabaseModel<D extends DatabaseShape = UntypedTables> {
  readonly name: string;
  readonly version: string;
  readonly tables: { readonly [T in keyof D]: ModelTable };
  /** There at compile time alone. */
  readonly shape?: D;
}

const parsed = new WeakMap<object, DatabaseSchema>();

/** The schema that a model describes. */
export function modelSchema(model: DatabaseModel<DatabaseShape>): DatabaseSchema {
  let schema = parsed.get(model);
  if (schema === undefined) {
    schema = parseSchema({ name: model.name, version: model.version, tables: model.tables });
    parsed.set(model, schema);
  }
  return schema;
}
