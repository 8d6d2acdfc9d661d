/** Bytes that are not the message they should be. A peer sent them: nothing in them is trusted. */
export class WireFormatError extends Error {
  override readonly name = "WireFormatError";
}

/** How deep messages may lie in messages. The specification's go four deep. */
const maxDepth = 16;

const text = new TextDecoder("utf-8", { fatal: true });

/** A field as it lies on the wire (Protocol Buffers encoding, "Message Structure"): its number, and a varint's value or the bytes. */
export type WireField =
  | { readonly number: number; readonly type: "varint"; readonly value: bigint }
  | { readonly number: number; readonly type: "bytes"; readonly value: Uint8Array }
  /** Of a width that the specification uses nowhere: skipped. */
  | { readonly number: number; readonly type: "fixed" };

/** Reads the fields of a message. Throws {@link WireFormatError} at the first byte that can't be right. */
export function* readFields(bytes: Uint8Array, depth: number): Generator<WireField> {
  if (depth > maxDepth) throw new WireFormatError(`messages lie more than ${maxDepth} deep`);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new WireFormatError("a number ends too early, or not at all");
  };
  const skip = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new WireFormatError(`a field of ${length} bytes ends behind the message`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const number = Number(key >> 3n);
    if (number < 1 || number > 0x1fff_ffff) throw new WireFormatError(`there is no field ${number}`);
    const wireType = Number(key & 7n);
    if (wireType === 0) yield { number, type: "varint", value: varint() };
    else if (wireType === 2) {
      const length = varint();
      if (length > BigInt(bytes.length))
        throw new WireFormatError(`a field of ${length} bytes ends behind the message`);
      yield { number, type: "bytes", value: skip(Number(length)) };
    } else if (wireType === 1 || wireType === 5) {
      skip(wireType === 1 ? 8 : 4);
      yield { number, type: "fixed" };
    } else throw new WireFormatError(`there is no wire type ${wireType}`);
  }
}

/** A string field's value. proto3 strings are UTF-8. */
export function readText(field: WireField): string {
  try {
    return text.decode(readBytes(field));
  } catch (error) {
    if (error instanceof WireFormatError) throw error;
    throw new WireFormatError(`field ${field.number} is not UTF-8`);
  }
}

/** The bytes of a length-delimited field. */
export function readBytes(field: WireField): Uint8Array {
  if (field.type === "bytes") return field.value;
  throw new WireFormatError(`field ${field.number} is a number, and should not be`);
}

/** An integer field's value. One that a safe integer can't hold is refused, never rounded. */
export function readInteger(field: WireField): number {
  if (field.type !== "varint") throw new WireFormatError(`field ${field.number} is not a number, and should be`);
  const value = Number(BigInt.asIntN(64, field.value));
  if (!Number.isSafeInteger(value)) throw new WireFormatError(`field ${field.number} is beyond 2^53-1`);
  return value;
}
