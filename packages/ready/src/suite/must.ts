import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, isVdcError } from "@vdc-os/core";

/** A requirement that does not hold. */
export class RequirementFailure extends Error {
  override readonly name = "RequirementFailure";
}

/** A requirement that can't be tried with what the factory gave. */
export class RequirementSkipped extends Error {
  override readonly name = "RequirementSkipped";
}

/** A requirement of something that the implementation says it does not have. */
export class RequirementNotApplicable extends Error {
  override readonly name = "RequirementNotApplicable";
}

/** Fails the requirement unless the condition holds. The message says what must hold and what was found. */
export function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RequirementFailure(message);
}

/** Fails the requirement unless both are deeply equal. */
export function mustEqual(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new RequirementFailure(`${what} must be ${show(expected)}, and is ${show(actual)}`);
  }
}

/** Fails the requirement unless the call rejects with one of these codes. Returns the error. */
export async function mustReject(
  call: Promise<unknown>,
  code: ErrorCode | readonly ErrorCode[],
  what: string,
): Promise<Error> {
  const codes = typeof code === "string" ? [code] : code;
  let result: unknown;
  try {
    result = await call;
  } catch (error) {
    if (error instanceof RequirementFailure) throw error;
    if (isVdcError(error) && codes.includes(error.code)) return error;
    const found = isVdcError(error) ? `${error.code} (${error.message})` : String(error);
    throw new RequirementFailure(`${what} must fail with ${codes.join(" or ")}, and fails with ${found}`);
  }
  throw new RequirementFailure(`${what} must fail with ${codes.join(" or ")}, and succeeds with ${show(result)}`);
}

/** Takes items until the predicate holds for one (which is included), or the stream ends. The stream is left then. */
export async function takeUntil<T>(items: AsyncIterable<T>, isLast: (item: T, index: number) => boolean): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) {
    taken.push(item);
    if (isLast(item, taken.length - 1)) break;
  }
  return taken;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 400 ? `${text.slice(0, 400)}...` : text;
}
