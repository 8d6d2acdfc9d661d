import { OpenFlowError } from "../openflow-error.ts";
import { malformed, mustHave } from "../wire/malformed.ts";
import { numbers16, padding } from "../wire/octets.ts";
import { byPrerequisites, type FieldName, fieldCode, fieldNamed } from "./field.ts";

/** What one field must be, in the bits of the mask. */
export interface FieldMatch {
  readonly field: FieldName;
  readonly value: bigint;
  /** All bits where it is absent. */
  readonly mask?: bigint;
}

/** All that a frame must be; empty for every frame. */
export type Match = readonly FieldMatch[];

/** The value of a field of a match; undefined where the match does not look at it. */
export function fieldValue(match: Match, field: FieldName): bigint | undefined {
  return match.find((each) => each.field === field)?.value;
}

/**
 * One field as OXM (OpenFlow 1.3.5, 7.2.3.2).
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` where the value or the mask has more bits than the field
 */
export function encodeField({ field, value, mask }: FieldMatch): Buffer {
  const { class: oxmClass, number, width } = fieldCode(field);
  const all = allBits(width);
  const bits = mask ?? all;
  if (value < 0n || value > all || bits < 0n || bits > all) {
    const text = `field '${field}' has ${width} octets, and ${value} is beyond`;
    throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", text);
  }
  const hasMask = bits !== all;
  const header = Buffer.alloc(4);
  header.writeUInt16BE(oxmClass, 0);
  header.writeUInt8((number << 1) | (hasMask ? 1 : 0), 2);
  header.writeUInt8(hasMask ? width * 2 : width, 3);
  // What the mask leaves out must be 0 (OFPBMC_BAD_WILDCARDS).
  return Buffer.concat([header, octets(value & bits, width), ...(hasMask ? [octets(bits, width)] : [])]);
}

/**
 * A match as it is sent (OpenFlow 1.3.5, 7.2.3.1): its header, its fields, and the padding to 8 octets. Equal matches are equal octets.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` as of {@link encodeField}
 */
export function encodeMatch(match: Match): Buffer {
  // A mask without bits says nothing.
  const said = match.filter(({ mask }) => mask !== 0n);
  const body = Buffer.concat(said.sort((a, b) => byPrerequisites(a.field, b.field)).map(encodeField));
  const length = 4 + body.length;
  return Buffer.concat([numbers16(1, length), body, Buffer.alloc(padding(length))]);
}

/**
 * The fields of a match as it was received. Those that are not known here are left out.
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function decodeMatch(encoded: Buffer): Match {
  const { fieldsEnd } = matchExtent(encoded, 0);
  const match: FieldMatch[] = [];
  for (let at = 4; at < fieldsEnd; ) {
    if (at + 4 > fieldsEnd) throw malformed("a field without its header");
    const field = fieldNamed(encoded.readUInt16BE(at), encoded.readUInt8(at + 2) >> 1);
    const hasMask = (encoded.readUInt8(at + 2) & 1) === 1;
    const length = encoded.readUInt8(at + 3);
    const start = at + 4;
    at = start + length;
    if (at > fieldsEnd) throw malformed(`a field of ${length} octets is cut off`);
    if (field === undefined) continue;
    const { width } = fieldCode(field);
    if (length !== (hasMask ? width * 2 : width)) throw malformed(`field '${field}' with ${length} octets`);
    const value = number(encoded, start, width);
    match.push(hasMask ? { field, value, mask: number(encoded, start + width, width) } : { field, value });
  }
  return match;
}

/**
 * Where the fields of a match end that begins at `at`, and where what follows its padding begins.
 *
 * @throws `OPENFLOW_PROTOCOL` where it is longer than the octets that there are
 */
export function matchExtent(octets: Buffer, at: number): { readonly fieldsEnd: number; readonly end: number } {
  mustHave(octets, at + 4, "a match");
  const length = octets.readUInt16BE(at + 2);
  if (length < 4) throw malformed(`a match of ${length} octets`);
  const end = at + length + padding(length);
  mustHave(octets, end, "a match");
  return { fieldsEnd: at + length, end };
}

function allBits(width: number): bigint {
  return (1n << BigInt(width * 8)) - 1n;
}

function octets(value: bigint, width: number): Buffer {
  return Buffer.from(value.toString(16).padStart(width * 2, "0"), "hex");
}

function number(encoded: Buffer, at: number, width: number): bigint {
  return BigInt(`0x${encoded.toString("hex", at, at + width)}`);
}
