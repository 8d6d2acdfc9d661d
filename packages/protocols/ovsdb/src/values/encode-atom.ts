import { InsertedRow } from "../model/inserted-row.ts";
import type { AtomType } from "../schema/column-type.ts";
import { isUuidText } from "./atom.ts";

/** An atom for the wire, or `undefined` when the value is not of the type. Where a uuid goes, a row that the same transaction inserts may stand. */
export function encodeAtom(type: AtomType, value: unknown): unknown {
  switch (type) {
    case "string":
      return typeof value === "string" ? value : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "integer":
      return Number.isSafeInteger(value) ? value : undefined;
    case "real":
      return Number.isFinite(value) ? value : undefined;
    case "uuid":
      if (value instanceof InsertedRow) return ["named-uuid", value.name];
      return isUuidText(value) ? ["uuid", value] : undefined;
  }
}
