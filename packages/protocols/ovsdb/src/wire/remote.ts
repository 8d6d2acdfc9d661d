import { OvsdbError } from "../ovsdb-error.ts";

/** Where a server listens. */
export type Remote =
  | { readonly kind: "unix"; readonly text: string; readonly path: string }
  | { readonly kind: "tcp" | "ssl"; readonly text: string; readonly host: string; readonly port: number };

/** The port that the protocol has of IANA. */
const DEFAULT_PORT = 6640;

/**
 * Reads remotes as OVS writes them: `unix:<path>`, `tcp:<host>[:<port>]`, `ssl:<host>[:<port>]`, an IPv6 address in brackets; several with commas between.
 * The port is 6640 when none is said.
 *
 * @throws `OVSDB_INVALID_ARGUMENT`
 */
export function parseRemotes(remotes: string | readonly string[]): readonly Remote[] {
  const texts = (typeof remotes === "string" ? [remotes] : remotes).flatMap((text) => text.split(","));
  const parsed = texts.map((text) => text.trim()).filter((text) => text !== "");
  if (parsed.length === 0) throw new OvsdbError("OVSDB_INVALID_ARGUMENT", "No remote is given.");
  return parsed.map(parseRemote);
}

export function parseRemote(text: string): Remote {
  const [, method = "", rest = ""] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
  if (method === "unix") return { kind: "unix", text, path: rest };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(rest);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if ((method !== "tcp" && method !== "ssl") || host === undefined || port < 1 || port > 65_535) {
    throw new OvsdbError(
      "OVSDB_INVALID_ARGUMENT",
      `'${text}' is not a remote. Write 'unix:<path>', 'tcp:<host>:<port>' or 'ssl:<host>:<port>'; an IPv6 address goes in brackets.`,
      { details: { remote: text } },
    );
  }
  return { kind: method, text, host, port };
}
