import type { z } from "zod";
import type { OperationContext } from "../context/operation-context.ts";
import type { ErrorCode } from "../error/error-code.ts";

/** How an operation answers: once, with a finite stream, or with a watch that lasts until it is cancelled. */
export type OperationKind = "unary" | "stream" | "watch";

/** One operation of a contract, as data. */
export interface OperationDefinition<Kind extends OperationKind = OperationKind, Input = unknown, Output = unknown> {
  readonly kind: Kind;
  /** Schema of what the caller sends. */
  readonly input: z.ZodType<Input>;
  /** Schema of what comes back: the result, or one item of a stream or watch. */
  readonly output: z.ZodType<Output>;
  /** Whether a repeated call with the same input has no further effect and returns the same. The kernel retries only these. */
  readonly idempotent: boolean;
  /** The codes this operation may fail with, beyond those that any call can: see {@link universalErrorCodes}. */
  readonly errors: readonly ErrorCode[];
  /** One sentence: what it does. */
  readonly summary: string;
}

/** Codes that any operation may fail with. */
export const universalErrorCodes: readonly ErrorCode[] = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "INTERNAL",
  "UNAVAILABLE",
];

/** What an author writes for an operation, without its kind. */
export type OperationOptions<Input, Output> = Omit<OperationDefinition<OperationKind, Input, Output>, "kind">;

/** An operation that answers once. */
export function unary<Input, Output>(
  options: OperationOptions<Input, Output>,
): OperationDefinition<"unary", Input, Output> {
  return { kind: "unary", ...options };
}

/** An operation that answers with a finite stream of items. */
export function stream<Input, Output>(
  options: OperationOptions<Input, Output>,
): OperationDefinition<"stream", Input, Output> {
  return { kind: "stream", ...options };
}

/** An operation that answers with items until the caller cancels. After a gap it yields an item that says `resync`. */
export function watch<Input, Output>(
  options: OperationOptions<Input, Output>,
): OperationDefinition<"watch", Input, Output> {
  return { kind: "watch", ...options };
}

/** A method of a contract: input first, context second; a promise, or an async iterable of items. */
export type OperationMethod = (input: never, context: OperationContext) => Promise<unknown> | AsyncIterable<unknown>;

/** The definition that a contract's method must have. */
export type OperationOf<Method> = Method extends (input: infer Input, context: OperationContext) => infer Result
  ? Result extends Promise<infer Output>
    ? OperationDefinition<"unary", Input, Output>
    : Result extends AsyncIterable<infer Output>
      ? OperationDefinition<"stream" | "watch", Input, Output>
      : never
  : never;
