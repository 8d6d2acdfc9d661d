import type { Duplex } from "node:stream";
import { createSecureContext, createServer, type TLSSocket } from "node:tls";
import { NbdError } from "../nbd-error.ts";

/** How a server proves who it is, and whom it lets in. All in PEM. */
export interface NbdServerTls {
  /** The server's certificate, followed by those between it and an authority that clients trust. */
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  /** The authorities of the clients: with it, only a client with a certificate of theirs is let in. Without it any client is. */
  readonly clientAuthority?: string | Buffer;
}

/** Goes over to TLS, 1.2 or later, on connections whose client asked for it. */
export class TlsAcceptor {
  readonly #tls: NbdServerTls;

  /** Fails with `NBD_INVALID_ARGUMENT` when the certificate or its key is none. */
  constructor(tls: NbdServerTls) {
    const { certificate: cert, key, clientAuthority: ca } = tls;
    try {
      createSecureContext(ca === undefined ? { cert, key } : { cert, key, ca });
    } catch (cause) {
      const text = `the server's certificate or key was refused: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new NbdError("NBD_INVALID_ARGUMENT", text, { cause });
    }
    this.#tls = tls;
  }

  /** Resolves when the client has been authenticated, and rejects when it cannot be. The caller limits the time. */
  accept(socket: Duplex): Promise<TLSSocket> {
    const { certificate: cert, key, clientAuthority: ca } = this.#tls;
    return new Promise((resolve, reject) => {
      // One for each client, never listening: it alone tells which stream a handshake belonged to, and checks certificates as Node does.
      const server = createServer({
        cert,
        key,
        minVersion: "TLSv1.2",
        allowHalfOpen: true,
        ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
      });
      server.once("secureConnection", resolve);
      server.once("tlsClientError", reject);
      socket.once("close", () => reject(new NbdError("NBD_CLOSED", "the client left before it was authenticated")));
      server.emit("connection", socket);
    });
  }
}
