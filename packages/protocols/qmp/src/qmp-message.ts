import type { VersionInfo } from "./qmp-commands.ts";
import { QmpError } from "./qmp-error.ts";
import type { QmpEvent, QmpTimestamp } from "./qmp-events.ts";

/** The server's first line (QMP specification, section 2.2). */
export interface QmpGreeting {
  readonly version: VersionInfo;
  readonly capabilities: readonly string[];
}

/** A line from the server, after its shape was checked. */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly greeting: QmpGreeting }
  | { readonly kind: "event"; readonly event: QmpEvent }
  | { readonly kind: "return"; readonly id: unknown; readonly value: unknown }
  | { readonly kind: "error"; readonly id: unknown; readonly class: string; readonly desc: string };

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads a line; throws `QMP_PROTOCOL` for what is not a QMP message. */
export function parseQmpMessage(line: string): QmpMessage {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw protocolError("a line that is not JSON", line, cause);
  }
  if (!isObject(json)) throw protocolError("a line that is not an object", line);
  if (isObject(json.QMP)) return { kind: "greeting", greeting: parseGreeting(json.QMP, line) };
  if (typeof json.event === "string") {
    const data = isObject(json.data) ? json.data : {};
    return { kind: "event", event: { event: json.event, data, timestamp: parseTimestamp(json.timestamp) } };
  }
  if (isObject(json.error)) {
    const { class: errorClass, desc } = json.error;
    return {
      kind: "error",
      id: json.id,
      class: typeof errorClass === "string" ? errorClass : "GenericError",
      desc: typeof desc === "string" ? desc : "no description",
    };
  }
  if (Object.hasOwn(json, "return")) return { kind: "return", id: json.id, value: json.return };
  throw protocolError("an object that is not a QMP message", line);
}

function parseGreeting(qmp: Json, line: string): QmpGreeting {
  const { version, capabilities } = qmp;
  const qemu = isObject(version) ? version.qemu : undefined;
  if (!isObject(version) || !isObject(qemu)) throw protocolError("a greeting without a version", line);
  const { major, minor, micro } = qemu;
  if (typeof major !== "number" || typeof minor !== "number" || typeof micro !== "number") {
    throw protocolError("a greeting whose version has no numbers", line);
  }
  return {
    version: { qemu: { major, minor, micro }, package: typeof version.package === "string" ? version.package : "" },
    capabilities: Array.isArray(capabilities) ? capabilities.filter((name) => typeof name === "string") : [],
  };
}

function parseTimestamp(value: unknown): QmpTimestamp {
  const { seconds, microseconds } = isObject(value) ? value : {};
  return {
    seconds: typeof seconds === "number" ? seconds : -1,
    microseconds: typeof microseconds === "number" ? microseconds : -1,
  };
}

function protocolError(what: string, line: string, cause?: unknown): QmpError {
  return new QmpError("QMP_PROTOCOL", `the peer sent ${what}: ${JSON.stringify(line.slice(0, 120))}`, { cause });
}
