import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { OpenFlowError } from "../openflow-error.ts";
import { type WithinOptions, within } from "./deadline.ts";
import { parseRemote } from "./remote.ts";

/** What `ssl:` remotes need. All are PEM. */
export interface TlsSettings {
  /** The authority that signed the switch's certificate. Without it, the system's authorities and the switch's name are checked. */
  readonly ca?: string | Buffer;
  /** This client's certificate. */
  readonly cert?: string | Buffer;
  /** This client's private key. */
  readonly key?: string | Buffer;
  /**
   * Whether the certificate must also name the host. Defaults to false when `ca` is given: the authority of an Open vSwitch installation signs for its switches
   * and controllers alone, and its certificates don't name hosts.
   */
  readonly verifyHost?: boolean;
}

/**
 * Opens a stream to a remote; for `ssl:`, after the handshake.
 *
 * @throws `OPENFLOW_CONNECT_FAILED`, `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_INVALID_ARGUMENT`
 */
export async function openStream(remote: string, tls: TlsSettings, time: WithinOptions): Promise<Socket> {
  const { socket, opened } = startSocket(remote, tls);
  const open = new Promise<void>((resolve, reject) => {
    socket.once(opened, resolve);
    socket.on("error", (cause) => {
      const text = `no connection to '${remote}': ${cause.message}`;
      reject(new OpenFlowError("OPENFLOW_CONNECT_FAILED", text, { cause }));
    });
  });
  try {
    await within(open, time);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.setNoDelay(true);
  return socket;
}

function startSocket(remote: string, tls: TlsSettings): { readonly socket: Socket; readonly opened: string } {
  const place = parseRemote(remote);
  if (place.kind === "unix") return { socket: connect({ path: place.path }), opened: "connect" };
  const { kind, host, port } = place;
  if (kind === "tcp") return { socket: connect({ host, port }), opened: "connect" };
  const { ca, cert, key, verifyHost = ca === undefined } = tls;
  try {
    const socket = connectTls({
      ...{ host, port, minVersion: "TLSv1.2" },
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(verifyHost ? {} : { checkServerIdentity: () => undefined }),
    });
    return { socket, opened: "secureConnect" };
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", `'${remote}' can't be connected to: ${text}`, { cause });
  }
}
