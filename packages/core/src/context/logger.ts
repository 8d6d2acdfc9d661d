import type { JsonObject } from "../schema/json.ts";

/** Structured log. A logger never throws, and what it is given never holds a secret. */
export interface Logger {
  debug(message: string, fields?: JsonObject): void;
  info(message: string, fields?: JsonObject): void;
  warn(message: string, fields?: JsonObject): void;
  error(message: string, fields?: JsonObject): void;
  /** A logger that adds these fields to every line. */
  child(fields: JsonObject): Logger;
}

/** The logger that says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
