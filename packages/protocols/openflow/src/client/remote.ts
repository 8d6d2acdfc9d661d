import { OpenFlowError } from "../openflow-error.ts";

/** Where a switch listens. */
export type Remote =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp" | "ssl"; readonly host: string; readonly port: number };

/** The port that the protocol has of IANA. */
const defaultPort = 6653;

/**
 * Reads a remote as Open vSwitch writes it: `unix:<path>`, `tcp:<host>[:<port>]`, `ssl:<host>[:<port>]`, an IPv6 address in brackets. The port is 6653 when
 * none is said.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function parseRemote(text: string): Remote {
  const path = /^unix:(.+)$/s.exec(text)?.[1];
  if (path !== undefined) return { kind: "unix", path };
  const [, kind, bracketed, plain, digits] = /^(tcp|ssl):(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  if ((kind === "tcp" || kind === "ssl") && host !== undefined && port >= 1 && port <= 65_535) {
    return { kind, host, port };
  }
  throw new OpenFlowError(
    "OPENFLOW_INVALID_ARGUMENT",
    `'${text}' is not a remote: write 'unix:<path>', 'tcp:<host>:<port>' or 'ssl:<host>:<port>', an IPv6 address in brackets`,
  );
}
