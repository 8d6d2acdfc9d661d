import { OvsdbError } from "../ovsdb-error.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { quoteJson } from "../values/atom.ts";

/** A JSON-RPC 1.0 message, sorted by what it is (RFC 7047, section 4). */
export type RpcMessage =
  | { readonly kind: "request"; readonly method: string; readonly params: readonly unknown[]; readonly id: unknown }
  | { readonly kind: "notification"; readonly method: string; readonly params: readonly unknown[] }
  | { readonly kind: "reply"; readonly id: unknown; readonly result: unknown; readonly error: unknown };

/** @throws `OVSDB_PROTOCOL` */
export function readRpcMessage(json: unknown): RpcMessage {
  if (isObject(json)) {
    if (typeof json.method === "string" && Array.isArray(json.params)) {
      const { method, id = null } = json;
      const params = json.params as readonly unknown[];
      return id === null ? { kind: "notification", method, params } : { kind: "request", method, params, id };
    }
    if (json.method === undefined && json.id !== undefined && json.id !== null) {
      const { id, result = null, error = null } = json;
      return { kind: "reply", id, result, error };
    }
    // The server's word that it couldn't read what we sent.
    if (json.method === undefined && json.error !== undefined && json.error !== null) {
      throw new OvsdbError("OVSDB_PROTOCOL", `The server refused a message: ${quoteJson(json.error)}.`);
    }
  }
  throw new OvsdbError("OVSDB_PROTOCOL", `The peer sent JSON that is not JSON-RPC: ${quoteJson(json)}.`);
}

/** The error that a reply carries: OVS sends an object with `error` and `details`, or a bare string (RFC 7047, section 3.1, `<error>`). */
export function replyError(method: string, error: unknown): OvsdbError {
  const word =
    isObject(error) && typeof error.error === "string"
      ? error.error
      : typeof error === "string"
        ? error
        : quoteJson(error);
  const explanation = isObject(error) && typeof error.details === "string" ? error.details : undefined;
  return new OvsdbError(
    "OVSDB_REQUEST_FAILED",
    `The server refused '${method}': ${word}${explanation === undefined ? "" : `: ${explanation}`}`,
    { details: { method, error: word, ...(explanation === undefined ? {} : { explanation }) } },
  );
}
