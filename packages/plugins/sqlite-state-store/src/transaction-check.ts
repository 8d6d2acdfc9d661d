import { type Json, VdcError } from "@vdc-os/core";
import type { Transaction } from "@vdc-os/core/state/v1";

/** The most characters that a key has. */
export const maxKeyLength = 512;
/** The most bytes that a value has as JSON text in UTF-8. */
export const maxValueBytes: number = 1024 * 1024;
/** The most operations that a transaction has. */
export const maxOperations = 512;

/** An operation that was checked, its value as text. */
export type CheckedOperation =
  | { readonly type: "put"; readonly key: string; readonly text: string; readonly lease: string | undefined }
  | { readonly type: "delete"; readonly key: string };

/**
 * Checks a transaction before it is queued, so that nothing fails half-way. Values are turned to text here: the caller may change
 * its objects afterwards.
 */
export function checkTransaction(transaction: Transaction): readonly CheckedOperation[] {
  const { operations } = transaction;
  if (operations.length > maxOperations) {
    throw invalid(
      `a transaction has ${operations.length} operations, and at most ${maxOperations} are allowed: split it`,
    );
  }
  for (const compare of transaction.compare) {
    checkKey(compare.key);
    if (!Number.isSafeInteger(compare.modRevision) || compare.modRevision < 0) {
      throw invalid(
        `the condition on key '${compare.key}' has modRevision ${compare.modRevision}: it must be 0 or a revision`,
      );
    }
  }
  const keys = new Set<string>();
  return operations.map((operation) => {
    const { key } = operation;
    checkKey(key);
    if (keys.has(key)) throw invalid(`a transaction changes the key '${key}' twice: keep the last change of it`);
    keys.add(key);
    if (operation.type === "delete") return { type: "delete", key };
    return { type: "put", key, text: textOf(key, operation.value), lease: operation.lease };
  });
}

/** Refuses a key that no store can keep. */
export function checkKey(key: string): void {
  if (typeof key !== "string" || key.length === 0 || key.length > maxKeyLength) {
    throw invalid(`a key must have 1 to ${maxKeyLength} characters`);
  }
  checkWellFormed(key);
}

/** Refuses text that UTF-8 can't carry: it would come back as another key. */
export function checkWellFormed(text: string): void {
  if (!text.isWellFormed()) throw invalid("a key must be well-formed Unicode: it has half of a surrogate pair");
  // SQLite's own string functions stop at a NUL.
  if (text.includes("\0")) throw invalid("a key must not hold a NUL character");
}

function textOf(key: string, value: Json): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw invalid(
      `the value of key '${key}' is not JSON: ${error instanceof Error ? error.message : "it can't be written"}`,
    );
  }
  if (text === undefined) throw invalid(`the value of key '${key}' is not JSON`);
  const size = Buffer.byteLength(text);
  if (size > maxValueBytes) {
    throw invalid(`the value of key '${key}' has ${size} bytes as JSON, and at most ${maxValueBytes} are allowed`);
  }
  return text;
}

function invalid(message: string): VdcError {
  return new VdcError("INVALID_ARGUMENT", message);
}
