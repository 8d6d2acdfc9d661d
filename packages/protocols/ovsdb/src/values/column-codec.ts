import { OvsdbError } from "../ovsdb-error.ts";
import { type AtomType, type ColumnShape, type ColumnType, columnShape } from "../schema/column-type.ts";
import { type Atom, compareAtoms, defaultAtom } from "./atom.ts";
import { encodeAtom } from "./encode-atom.ts";
import { applyElementsDifference, checkCount, decodeElements, type Elements, equalElements } from "./elements.ts";
import { freezeMap } from "./frozen-map.ts";

/** A value as a row holds it: see `ColumnShape`. */
export type ColumnValue = Atom | undefined | readonly Atom[] | Readonly<Record<string, Atom>> | ReadonlyMap<Atom, Atom>;

/** Turns a column's values from the wire into what rows hold, and back. */
export class ColumnCodec {
  readonly name: string;
  readonly type: ColumnType;
  readonly shape: ColumnShape;
  /** What an omitted column holds. */
  readonly initial: ColumnValue;

  constructor(name: string, type: ColumnType) {
    this.name = name;
    this.type = type;
    this.shape = columnShape(type);
    const values = type.value === undefined ? undefined : [];
    this.initial = this.shape === "scalar" ? defaultAtom(type.key.type) : this.#fromElements({ keys: [], values });
  }

  /** @throws `OVSDB_PROTOCOL`: not a value of this column's type. */
  decode(json: unknown): ColumnValue {
    // The commonest case, without a detour.
    if (this.shape === "scalar" && this.type.key.type === "string" && typeof json === "string") return json;
    return this.#fromElements(checkCount(decodeElements(this.type, json), this.shape, json));
  }

  /** The value after a difference of `update2` or `update3`. A column with at most one element is told whole. */
  applyDifference(old: ColumnValue, json: unknown): ColumnValue {
    if (this.shape === "scalar" || this.shape === "optional") return this.decode(json);
    return this.#fromElements(applyElementsDifference(this.toElements(old), decodeElements(this.type, json)));
  }

  equals(a: ColumnValue, b: ColumnValue): boolean {
    if (a === b) return true;
    if (this.shape === "scalar" || this.shape === "optional") {
      return a !== undefined && b !== undefined && compareAtoms(a as Atom, b as Atom) === 0;
    }
    return equalElements(this.toElements(a), this.toElements(b));
  }

  /** The value's elements in canonical order; for values that came from a row. */
  toElements(value: ColumnValue): Elements {
    switch (this.shape) {
      case "scalar":
        return { keys: [value as Atom], values: undefined };
      case "optional":
        return { keys: value === undefined ? [] : [value as Atom], values: undefined };
      case "set":
        return { keys: value as readonly Atom[], values: undefined };
      case "map": {
        const map = value as ReadonlyMap<Atom, Atom>;
        return { keys: [...map.keys()], values: [...map.values()] };
      }
      case "record": {
        // Keys that look like numbers come first in an object, whatever their place in the canonical order.
        const record = value as Readonly<Record<string, Atom>>;
        const keys = Object.keys(record).sort(compareAtoms);
        return { keys, values: keys.map((key) => record[key]!) };
      }
    }
  }

  /**
   * A whole value for the wire.
   *
   * @throws `OVSDB_INVALID_ARGUMENT`: not a value of this column.
   */
  encode(value: unknown): unknown {
    switch (this.shape) {
      case "scalar":
        return this.#atom(this.type.key.type, value);
      case "optional":
        return value === undefined ? ["set", []] : this.#atom(this.type.key.type, value);
      case "set":
        if (!Array.isArray(value) && !(value instanceof Set)) throw this.refuse("an array", value);
        return this.#encodeSet(value as Iterable<unknown>);
      default:
        return this.#encodeMap(value);
    }
  }

  /** An argument of a condition or mutation: a whole value, one element, or (with `keys`) the keys of a map. */
  encodeArgument(value: unknown, options: { readonly keys?: boolean } = {}): unknown {
    if (this.type.value !== undefined && !(options.keys === true && Array.isArray(value)))
      return this.#encodeMap(value);
    if (Array.isArray(value) || value instanceof Set) return this.#encodeSet(value as Iterable<unknown>);
    return value === undefined ? ["set", []] : this.#atom(this.type.key.type, value);
  }

  refuse(expected: string, value: unknown): OvsdbError {
    const found = value === null ? "null" : Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
    return new OvsdbError("OVSDB_INVALID_ARGUMENT", `Column '${this.name}' takes ${expected}, not ${found}.`, {
      details: { column: this.name },
    });
  }

  #atom(type: AtomType, value: unknown): unknown {
    const encoded = encodeAtom(type, value);
    if (encoded === undefined) throw this.refuse(type === "uuid" ? "a uuid" : `a ${type}`, value);
    return encoded;
  }

  #encodeSet(value: Iterable<unknown>): unknown {
    return ["set", Array.from(value, (element) => this.#atom(this.type.key.type, element))];
  }

  #encodeMap(value: unknown): unknown {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.refuse("a map", value);
    const entries: Iterable<readonly [unknown, unknown]> = value instanceof Map ? value : Object.entries(value);
    const numeric = this.type.key.type === "integer" && !(value instanceof Map);
    return [
      "map",
      Array.from(entries, ([key, element]) => [
        this.#atom(this.type.key.type, numeric ? Number(key) : key),
        this.#atom(this.type.value!.type, element),
      ]),
    ];
  }

  #fromElements({ keys, values }: Elements): ColumnValue {
    switch (this.shape) {
      case "scalar":
      case "optional":
        return keys[0];
      case "set":
        return Object.freeze(keys);
      case "map":
        return freezeMap(new Map(keys.map((key, index) => [key, values![index]!] as const)));
      case "record": {
        const record: Record<string, Atom> = Object.create(null);
        for (let index = 0; index < keys.length; index += 1) record[keys[index] as string] = values![index]!;
        return Object.freeze(record);
      }
    }
  }
}
