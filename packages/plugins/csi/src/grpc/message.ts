import { readBytes, readFields, readInteger, readText, type WireField } from "./protobuf-reader.ts";

/** A message with what has the default value left out, as a sender writes it. */
export type Sparse<T> = T extends readonly (infer Item)[]
  ? readonly Sparse<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]?: Sparse<T[Key]> | undefined }
    : T;

/** A message of Protocol Buffers, version 3: how it is written and read. */
export interface Message<T> {
  readonly name: string;
  /** Throws a `RangeError` for a number that is not a safe integer. */
  encode(value: Sparse<T>): Uint8Array;
  /** Fields that are absent have proto3's defaults; unknown ones are skipped. Throws `WireFormatError`. */
  decode(bytes: Uint8Array): T;
}

/** A field: its number, its default, and how its values are written and read. */
export interface Field<T> {
  readonly number: number;
  readonly initial: () => T;
  readonly write: (value: T, number: number) => readonly Uint8Array[];
  /** Returns the field's value after this occurrence of it. */
  readonly read: (field: WireField, before: T, depth: number) => T;
}

const inner = Symbol("the codec that knows its depth");

interface DepthCodec<T> extends Message<T> {
  readonly [inner]: (bytes: Uint8Array, depth: number) => T;
}

/** Defines a message by its fields. */
export function message<T extends object>(
  name: string,
  fields: { readonly [Key in keyof T]-?: Field<T[Key]> },
): Message<T> {
  const table = Object.entries(fields) as [string, Field<unknown>][];
  const byNumber = new Map(table.map(([key, field]) => [field.number, { key, field }]));
  const decode = (bytes: Uint8Array, depth: number): T => {
    const value: Record<string, unknown> = {};
    for (const [key, { initial }] of table) value[key] = initial();
    for (const occurrence of readFields(bytes, depth)) {
      const known = byNumber.get(occurrence.number);
      if (known !== undefined) value[known.key] = known.field.read(occurrence, value[known.key], depth);
    }
    return value as T;
  };
  const codec: DepthCodec<T> = {
    name,
    encode: (value) => {
      const given = value as Record<string, unknown>;
      return concat(
        table.flatMap(([key, { number, write }]) => (given[key] === undefined ? [] : write(given[key], number))),
      );
    },
    decode: (bytes) => decode(bytes, 0),
    [inner]: decode,
  };
  return codec;
}

/** A string. */
export function text(number: number): Field<string> {
  return {
    number,
    initial: () => "",
    write: (value) => (value === "" ? [] : delimited(number, Buffer.from(value))),
    read: readText,
  };
}

/** An integer (`int32`, `int64` or an enum). */
export function integer(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (value) => (value === 0 ? [] : [varint(BigInt(number) << 3n), varint(integerBits(value))]),
    read: readInteger,
  };
}

/** A boolean. */
export function flag(number: number): Field<boolean> {
  return {
    number,
    initial: () => false,
    write: (value) => (value ? [varint(BigInt(number) << 3n), varint(1n)] : []),
    read: (field) => readInteger(field) !== 0,
  };
}

/** A message in this one. One that is repeated replaces the one before. */
export function nested<T>(number: number, type: () => Message<T>): Field<T | undefined> {
  return {
    number,
    initial: () => undefined,
    write: (value) => (value === undefined ? [] : delimited(number, type().encode(value as Sparse<T>))),
    read: (field, _before, depth) => (type() as DepthCodec<T>)[inner](readBytes(field), depth + 1),
  };
}

/** Any number of messages. */
export function list<T>(number: number, type: () => Message<T>): Field<readonly T[]> {
  const one = nested(number, type);
  return {
    number,
    initial: () => [],
    write: (value) => value.flatMap((item) => one.write(item, number)),
    read: (field, before, depth) => append(before, one.read(field, undefined, depth) as T),
  };
}

/** Any number of strings. */
export function texts(number: number): Field<readonly string[]> {
  return {
    number,
    initial: () => [],
    write: (value) => value.flatMap((item) => delimited(number, Buffer.from(item))),
    read: (field, before) => append(before, readText(field)),
  };
}

const entry: Message<{ readonly key: string; readonly value: string }> = message("entry", {
  key: text(1),
  value: text(2),
});

/** A map of strings to strings. */
export function textMap(number: number): Field<Readonly<Record<string, string>>> {
  return {
    number,
    // Without a prototype: a key may be `__proto__`.
    initial: () => Object.create(null) as Record<string, string>,
    write: (value) =>
      Object.entries(value).flatMap(([key, item]) => delimited(number, entry.encode({ key, value: item }))),
    read: (field, before) => {
      const { key, value } = entry.decode(readBytes(field));
      (before as Record<string, string>)[key] = value;
      return before;
    },
  };
}

/** The list is this decoder's own until it returns: appending in place keeps long lists linear. */
function append<T>(before: readonly T[], item: T): readonly T[] {
  (before as T[]).push(item);
  return before;
}

function delimited(number: number, bytes: Uint8Array): readonly Uint8Array[] {
  return [varint((BigInt(number) << 3n) | 2n), varint(BigInt(bytes.length)), bytes];
}

/** A negative number takes ten bytes: it is written as its 64-bit two's complement. */
function integerBits(value: number): bigint {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`);
  return BigInt.asUintN(64, BigInt(value));
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
