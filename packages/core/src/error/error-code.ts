/**
 * The canonical error codes, those of gRPC (google.rpc.Code), with the meaning that VDC-OS gives them.
 *
 * | code | when | a retry helps |
 * | --- | --- | --- |
 * | `CANCELLED` | the caller's signal aborted | no |
 * | `UNKNOWN` | an error without a code came from a plugin | no |
 * | `INVALID_ARGUMENT` | the input is wrong whatever the state | no |
 * | `DEADLINE_EXCEEDED` | the deadline passed; the outcome is unknown unless the operation is idempotent | yes |
 * | `NOT_FOUND` | the named object does not exist | no |
 * | `ALREADY_EXISTS` | the name is taken by an object with another spec | no |
 * | `PERMISSION_DENIED` | the caller is known and may not | no |
 * | `RESOURCE_EXHAUSTED` | space, quota, a rate or a count is used up | after a while, or after a change |
 * | `FAILED_PRECONDITION` | the object's state forbids it (in use, has children, fenced); `blockers` name why | after a change |
 * | `ABORTED` | a conflict with a concurrent call (compare failed, operation pending, stale page token) | yes, from a fresh read |
 * | `OUT_OF_RANGE` | an offset or size is beyond the limit | no |
 * | `UNIMPLEMENTED` | the facet or operation is absent here; the reason says why | no |
 * | `INTERNAL` | a broken invariant, or output that violates the contract | no |
 * | `UNAVAILABLE` | the provider cannot be reached now | yes |
 * | `DATA_LOSS` | stored data is damaged | no |
 * | `UNAUTHENTICATED` | credentials are absent, wrong or expired | after a change |
 */
export type ErrorCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** Every canonical code, in gRPC's order. */
export const errorCodes: readonly ErrorCode[] = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The codes for which the same call may succeed later without anybody changing anything. */
export function isRetryableCode(code: ErrorCode): boolean {
  return code === "UNAVAILABLE" || code === "ABORTED" || code === "DEADLINE_EXCEEDED" || code === "RESOURCE_EXHAUSTED";
}
