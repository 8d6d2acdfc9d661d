import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { OvsdbError } from "../ovsdb-error.ts";
import type { Remote } from "./remote.ts";

/** What `ssl:` remotes need. All are PEM. */
export interface TlsSettings {
  /** The authority that signed the server's certificate. Without it, the system's authorities and the server's name are checked. */
  readonly ca?: string | Buffer;
  /** This client's certificate. */
  readonly cert?: string | Buffer;
  /** This client's private key. */
  readonly key?: string | Buffer;
  /**
   * Whether the certificate must also name the host. Defaults to false when `ca` is given: the authority of an OVS installation signs for its switches and
   * controllers alone, and its certificates don't name hosts.
   */
  readonly verifyHost?: boolean;
}

export interface OpenStreamOptions {
  readonly tls?: TlsSettings;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Opens a stream to a remote; for `ssl:`, after the handshake.
 *
 * @throws `OVSDB_CONNECT_FAILED`; `OVSDB_ABORTED`; `OVSDB_INVALID_ARGUMENT` (a key or certificate that is none)
 */
export async function openStream(remote: Remote, options: OpenStreamOptions): Promise<Socket> {
  const socket = startSocket(remote, options.tls ?? {});
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const fail = (code: "OVSDB_CONNECT_FAILED" | "OVSDB_ABORTED", text: string, cause?: unknown): void => {
    finish();
    socket.on("error", () => {});
    socket.destroy();
    reject(new OvsdbError(code, text, { cause, details: { remote: remote.text } }));
  };
  const onAbort = (): void =>
    fail("OVSDB_ABORTED", `Connecting to '${remote.text}' was aborted.`, options.signal?.reason);
  const onError = (error: Error): void =>
    fail("OVSDB_CONNECT_FAILED", `No connection to '${remote.text}': ${error.message}`, error);
  const onOpen = (): void => {
    finish();
    socket.setNoDelay(true);
    resolve(socket);
  };
  const timer = setTimeout(
    () => fail("OVSDB_CONNECT_FAILED", `'${remote.text}' gave no connection within ${options.timeoutMs} ms.`),
    options.timeoutMs,
  );
  const opened = remote.kind === "ssl" ? "secureConnect" : "connect";
  const finish = (): void => {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
    socket.off("error", onError);
    socket.off(opened, onOpen);
  };
  socket.once("error", onError);
  socket.once(opened, onOpen);
  options.signal?.addEventListener("abort", onAbort);
  if (options.signal?.aborted) onAbort();
  return promise;
}

function startSocket(remote: Remote, tls: TlsSettings): Socket {
  try {
    if (remote.kind === "unix") return connect({ path: remote.path });
    if (remote.kind === "tcp") return connect({ host: remote.host, port: remote.port });
    return connectTls(tlsOptions(remote.host, remote.port, tls));
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `'${remote.text}' can't be connected to: ${text}`, {
      cause,
      details: { remote: remote.text },
    });
  }
}

function tlsOptions(host: string, port: number, tls: TlsSettings): ConnectionOptions {
  const options: ConnectionOptions = {
    host,
    port,
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
  };
  if (tls.ca !== undefined) options.ca = tls.ca;
  if (tls.cert !== undefined) options.cert = tls.cert;
  if (tls.key !== undefined) options.key = tls.key;
  if (!(tls.verifyHost ?? tls.ca === undefined)) options.checkServerIdentity = () => undefined;
  return options;
}
