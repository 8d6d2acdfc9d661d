import { ResponseError } from "vscode-jsonrpc/node";
import { type ErrorCode, errorCodes } from "../error/error-code.ts";
import { type SerializedError, toVdcError, VdcError } from "../error/vdc-error.ts";
import { vdcErrorNumber } from "./wire-protocol.ts";

/** Causes of causes that are read from a peer: a chain may be as deep as a message is long. */
const maxCauseDepth = 8;

/** Anything thrown, as the JSON-RPC error that crosses the wire. */
export function toResponseError(error: unknown): ResponseError<SerializedError> {
  if (error instanceof ResponseError) return error as ResponseError<SerializedError>;
  const vdcError = toVdcError(error);
  return new ResponseError(vdcErrorNumber, vdcError.message, vdcError.toJSON());
}

/** The error that a peer answered with. Whatever it sent, the result is a well-formed {@link VdcError}. */
export function fromResponseError(error: unknown): VdcError {
  if (!(error instanceof ResponseError)) return toVdcError(error);
  const data = readSerializedError(error.data, 0);
  if (data !== undefined) return VdcError.fromJSON(data);
  // JSON-RPC's own: -32601 is "method not found", -32602 "invalid params", -32097 "pending response rejected".
  const code: ErrorCode =
    error.code === -32601
      ? "UNIMPLEMENTED"
      : error.code === -32602
        ? "INVALID_ARGUMENT"
        : error.code === -32097
          ? "UNAVAILABLE"
          : "UNKNOWN";
  return new VdcError(code, error.message, { reason: "VDC_REMOTE_ERROR", details: { jsonRpcCode: error.code } });
}

function readSerializedError(value: unknown, depth: number): SerializedError | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const data = value as Partial<Record<keyof SerializedError, unknown>>;
  if (typeof data.message !== "string") return undefined;
  const code = errorCodes.find((known) => known === data.code) ?? "UNKNOWN";
  const cause = depth < maxCauseDepth ? readSerializedError(data.cause, depth + 1) : undefined;
  return {
    code,
    reason: typeof data.reason === "string" ? data.reason : `VDC_${code}`,
    message: data.message,
    ...(isObject(data.details) ? { details: data.details as NonNullable<SerializedError["details"]> } : {}),
    ...(Array.isArray(data.blockers) ? { blockers: data.blockers.filter(isReference) } : {}),
    retryable: data.retryable === true,
    ...(typeof data.plugin === "string" ? { plugin: data.plugin } : {}),
    ...(cause === undefined ? {} : { cause }),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReference(value: unknown): value is NonNullable<SerializedError["blockers"]>[number] {
  if (!isObject(value)) return false;
  const reference = value as { readonly kind?: unknown; readonly name?: unknown };
  return typeof reference.kind === "string" && typeof reference.name === "string";
}
