import { z } from "zod";

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** How deep a value may be nested. A cycle is deeper than that. */
const maxDepth = 1000;

/**
 * Schema of {@link Json}, at most 1000 levels deep. A value comes out as it went in: the same object, with every name that JSON can have. (A schema of records
 * would make another one, without the name `__proto__`.)
 */
export const json: z.ZodType<Json> = z.unknown().refine((value) => isJson(value, maxDepth), {
  error: "a value must be JSON",
}) as unknown as z.ZodType<Json>;

/** Schema of {@link JsonObject}. */
export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json);

function isJson(value: unknown, depth: number): value is Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(value).every((item) => isJson(item, depth - 1));
}
