import { OvsdbError } from "../ovsdb-error.ts";
import { isUuidText } from "../values/atom.ts";
import type { Uuid } from "./row-types.ts";

/**
 * A uuid that came from elsewhere than a row.
 *
 * @throws `OVSDB_INVALID_ARGUMENT`: not a uuid
 */
export function parseUuid<Table extends string = string>(text: string): Uuid<Table> {
  if (!isUuidText(text)) {
    throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `'${String(text).slice(0, 80)}' is not a uuid.`);
  }
  return text.toLowerCase() as Uuid<Table>;
}
