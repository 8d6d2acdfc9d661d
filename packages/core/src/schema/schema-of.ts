import type { z } from "zod";

/** True exactly when two types are the same, optionality and readonly included. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Flattens intersections, and drops `readonly` all the way down, so that {@link Same} compares shapes. */
export type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer E)[]
    ? Plain<E>[]
    : T extends object
      ? { -readonly [K in keyof T]: Plain<T[K]> }
      : T;

/**
 * Binds a zod schema to an interface that was written by hand, and fails to compile unless the two are the same shape.
 *
 * @example
 * ```ts
 * interface Page { readonly size: number; readonly token?: string }
 * const page: z.ZodType<Page> = schemaOf<Page>()(z.object({ size: z.int(), token: z.string().exactOptional() }));
 * ```
 */
export function schemaOf<T>(): <S extends z.ZodType>(
  schema: Same<Plain<z.output<S>>, Plain<T>> extends true
    ? S
    : { readonly "schema differs from the interface": z.output<S> },
) => z.ZodType<T> {
  return (schema) => schema as unknown as z.ZodType<T>;
}
