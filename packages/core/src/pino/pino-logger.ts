import { type Logger as PinoInstance, pino } from "pino";
import type { Logger } from "../context/logger.ts";
import type { Json, JsonObject } from "../schema/json.ts";

/** Options of {@link pinoLogger}. */
export interface PinoLoggerOptions {
  /** Defaults to `info`. */
  readonly level?: "debug" | "info" | "warn" | "error" | "silent";
  /** Where lines of JSON go. Defaults to standard output. */
  readonly destination?: { write(line: string): void };
  /** A pino instance to write through, instead of a new one. */
  readonly pino?: PinoInstance;
}

/** Field names whose values are never written, wherever they stand. */
const secretLike =
  /pass(word|wd|phrase)|secret|token|credential|private[-_]?key|api[-_]?key|access[-_]?key|authorization|cookie/i;

/** How deep fields are written. What lies deeper is cut. */
const maxDepth = 8;

/** A logger that writes lines of JSON through pino. It never throws, and never writes the value of a field named like a secret. */
export function pinoLogger(options: PinoLoggerOptions = {}): Logger {
  const settings = { level: options.level ?? "info" };
  const instance =
    options.pino ?? (options.destination === undefined ? pino(settings) : pino(settings, options.destination));
  return adapt(instance);
}

function adapt(instance: PinoInstance): Logger {
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields?: JsonObject): void => {
      try {
        if (!instance.isLevelEnabled(level)) return;
        if (fields === undefined) instance[level](message);
        else instance[level](redactSecrets(fields), message);
      } catch {
        // A broken destination must not break the caller.
      }
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => adapt(instance.child(redactSecrets(fields) as Record<string, Json>)),
  };
}

/** A copy of the fields in which the values of secret-like names are replaced. */
export function redactSecrets(fields: JsonObject): JsonObject {
  return redact(fields, 0) as JsonObject;
}

function redact(value: Json, depth: number): Json {
  if (typeof value !== "object" || value === null) return value;
  if (depth >= maxDepth) return "[cut]";
  if (Array.isArray(value)) return value.map((item) => redact(item as Json, depth + 1));
  const copy: Record<string, Json> = {};
  for (const [name, field] of Object.entries(value as JsonObject)) {
    copy[name] = secretLike.test(name) ? "[redacted]" : redact(field, depth + 1);
  }
  return copy;
}
