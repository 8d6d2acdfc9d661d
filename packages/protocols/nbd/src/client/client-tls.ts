import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { NbdError } from "../nbd-error.ts";

/** How a client knows its server, and what it shows of itself. All in PEM. */
export interface NbdClientTls {
  /** The authorities that may have signed the server's certificate. Defaults to those of Node.js. */
  readonly authority?: string | Buffer;
  /** The client's own certificate and key, for servers that ask for one. */
  readonly certificate?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name that the server's certificate must be for. Defaults to the address's host, and `localhost` where it has none. */
  readonly serverName?: string;
}

/** Goes over to TLS, 1.2 or later. Fails with `NBD_TLS_FAILED` for a server that is not the one it should be. */
export function startTls(socket: Duplex, tls: NbdClientTls, host: string | undefined): Promise<TLSSocket> {
  const name = tls.serverName ?? host ?? "localhost";
  const options: ConnectionOptions = {
    socket,
    host: name,
    minVersion: "TLSv1.2",
    // An address cannot be announced as a name, but the certificate is checked against it all the same.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(tls.authority === undefined ? {} : { ca: tls.authority }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  };
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      const detail = cause instanceof Error ? cause.message : String(cause);
      reject(new NbdError("NBD_TLS_FAILED", `TLS with the server '${name}' failed: ${detail}`, { cause }));
    };
    try {
      const secure = connect(options, () => {
        secure.off("error", fail);
        resolve(secure);
      });
      secure.once("error", fail);
      secure.once("close", () => fail(new Error("the server ended the connection")));
    } catch (cause) {
      fail(cause);
    }
  });
}
