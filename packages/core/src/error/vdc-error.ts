import type { JsonObject } from "../schema/json.ts";
import { type ErrorCode, errorCodes, isRetryableCode } from "./error-code.ts";

/** Names an object in an error: what kind it is and its name or id. */
export interface ObjectReference {
  readonly kind: string;
  readonly name: string;
}

/** Options of {@link VdcError}. */
export interface VdcErrorOptions {
  /** A stable, documented identifier of the exact failure, such as `VDC_PLUGIN_START_TIMEOUT`. Defaults to `VDC_<code>`. */
  readonly reason?: string;
  /** What led to it. */
  readonly cause?: unknown;
  /** Facts for programs: ids, limits, sizes. Never a secret. */
  readonly details?: JsonObject;
  /** What prevents the operation, with `FAILED_PRECONDITION`. */
  readonly blockers?: readonly ObjectReference[];
  /** Whether the same call may succeed later. Defaults to what the code says. */
  readonly retryable?: boolean;
  /** The plugin that the error is attributed to. */
  readonly plugin?: string;
}

const brand = Symbol.for("vdc-os.error");

/** A {@link VdcError} as plain data, as it crosses a process boundary. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly message: string;
  readonly details?: JsonObject | undefined;
  readonly blockers?: readonly ObjectReference[] | undefined;
  readonly retryable: boolean;
  readonly plugin?: string | undefined;
  readonly cause?: SerializedError | undefined;
}

/**
 * The one error of VDC-OS.
 *
 * Programs test `code` (one of sixteen) or `reason` (exact), never the class or the text: use {@link isVdcError}, which also
 * recognises errors made by another copy of this package. The text says what happened, to which object, and what to do.
 */
export class VdcError extends Error {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly details: JsonObject;
  readonly blockers: readonly ObjectReference[];
  readonly retryable: boolean;
  readonly plugin: string | undefined;

  constructor(code: ErrorCode, message: string, options: VdcErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "VdcError";
    this.code = code;
    this.reason = options.reason ?? `VDC_${code}`;
    this.details = options.details ?? {};
    this.blockers = options.blockers ?? [];
    this.retryable = options.retryable ?? isRetryableCode(code);
    this.plugin = options.plugin;
    Object.defineProperty(this, brand, { value: 1 });
  }

  /** The error as plain data. Stacks stay on this side of the boundary. */
  toJSON(): SerializedError {
    return {
      code: this.code,
      reason: this.reason,
      message: this.message,
      ...(Object.keys(this.details).length > 0 ? { details: this.details } : {}),
      ...(this.blockers.length > 0 ? { blockers: this.blockers } : {}),
      retryable: this.retryable,
      ...(this.plugin === undefined ? {} : { plugin: this.plugin }),
      ...(this.cause === undefined ? {} : { cause: serializeCause(this.cause, 1) }),
    };
  }

  /** The error that {@link VdcError.toJSON} described. Unknown codes become `UNKNOWN`. */
  static fromJSON(data: SerializedError): VdcError {
    return new VdcError(errorCodes.includes(data.code) ? data.code : "UNKNOWN", String(data.message), {
      reason: data.reason,
      ...(data.details === undefined ? {} : { details: data.details }),
      ...(data.blockers === undefined ? {} : { blockers: data.blockers }),
      retryable: data.retryable,
      ...(data.plugin === undefined ? {} : { plugin: data.plugin }),
      ...(data.cause === undefined ? {} : { cause: VdcError.fromJSON(data.cause) }),
    });
  }
}

/** How many causes of causes are written: a chain may be a circle. */
const maxCauseDepth = 8;

function serializeCause(cause: unknown, depth: number): SerializedError {
  const error = isVdcError(cause) ? cause : undefined;
  const next = cause instanceof Error ? cause.cause : undefined;
  const name = cause instanceof Error && cause.name !== "Error" ? cause.name : undefined;
  const reason = (cause as { readonly code?: unknown } | undefined)?.code;
  return {
    code: error?.code ?? "UNKNOWN",
    reason: error?.reason ?? (typeof reason === "string" ? reason : (name ?? "VDC_UNKNOWN")),
    message:
      cause instanceof Error ? cause.message : typeof cause === "string" ? cause : `a ${typeof cause} was thrown`,
    ...(error !== undefined && Object.keys(error.details).length > 0 ? { details: error.details } : {}),
    ...(error !== undefined && error.blockers.length > 0 ? { blockers: error.blockers } : {}),
    retryable: error?.retryable ?? false,
    ...(error?.plugin === undefined ? {} : { plugin: error.plugin }),
    ...(next === undefined || depth >= maxCauseDepth ? {} : { cause: serializeCause(next, depth + 1) }),
  };
}

/** Whether a value is a {@link VdcError}, of this copy of core or another; with `code`, whether it has that code. */
export function isVdcError(value: unknown, code?: ErrorCode): value is VdcError {
  return (
    typeof value === "object" &&
    value !== null &&
    brand in value &&
    (code === undefined || (value as unknown as VdcError).code === code)
  );
}

/**
 * Turns anything that a plugin threw into a {@link VdcError} that names the plugin. The first attribution stays: an error that
 * came through several plugins belongs to the one that made it.
 */
export function attributeError(value: unknown, plugin: string | undefined): VdcError {
  if (plugin === undefined) return toVdcError(value);
  const error = toVdcError(value, { plugin });
  // In place, so that the error keeps its identity, class and stack for whoever holds it already.
  if (error.plugin === undefined && !Object.isFrozen(error)) (error as { plugin: string | undefined }).plugin = plugin;
  return error;
}

/** Turns anything thrown into a {@link VdcError}: itself, `CANCELLED` for an abort, `DEADLINE_EXCEEDED` for a timeout, else `UNKNOWN`. */
export function toVdcError(value: unknown, options: VdcErrorOptions = {}): VdcError {
  if (isVdcError(value)) return value;
  if (value instanceof Error) {
    if (value.name === "AbortError") return new VdcError("CANCELLED", value.message, { cause: value, ...options });
    if (value.name === "TimeoutError")
      return new VdcError("DEADLINE_EXCEEDED", value.message, { cause: value, ...options });
    return new VdcError("UNKNOWN", value.message, { cause: value, ...options });
  }
  return new VdcError("UNKNOWN", typeof value === "string" ? value : `a ${typeof value} was thrown`, options);
}
