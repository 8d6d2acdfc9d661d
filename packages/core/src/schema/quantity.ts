import { z } from "zod";

/** A size in bytes: a safe integer, 0 to 2^53-1. Larger sizes are refused, never rounded. */
export type Bytes = number;

/** Schema of {@link Bytes}. */
export const bytes: z.ZodType<Bytes> = z.int().nonnegative();

/** A counter that may pass 2^53-1 (frames, octets over years): decimal digits in a string. */
export type Counter64 = string;

/** Schema of {@link Counter64}. */
export const counter64: z.ZodType<Counter64> = z.string().regex(/^(0|[1-9][0-9]{0,19})$/);

/** Writes a counter for the wire. Throws a `RangeError` beyond 64 bits. */
export function encodeCounter(value: bigint): Counter64 {
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new RangeError(`${value} is not an unsigned 64-bit counter`);
  return value.toString();
}

/** Reads a counter from the wire. Throws a `RangeError` for anything else. */
export function decodeCounter(value: Counter64): bigint {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(value)) throw new RangeError(`'${value.slice(0, 40)}' is not a decimal counter`);
  return BigInt(value);
}

/** A point in time: milliseconds since 1970-01-01T00:00:00Z. */
export type Timestamp = number;

/** Schema of {@link Timestamp}. */
export const timestamp: z.ZodType<Timestamp> = z.number().nonnegative();
