import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { type ClientHandshakeOptions, type GrantedExport, runClientHandshake } from "./client-handshake.ts";
import { NbdError } from "./nbd-error.ts";
import * as wire from "./wire-constants.ts";

/** Where a server listens: a unix socket's path, a TCP address, or a stream that is connected already. */
export type NbdAddress = string | { readonly host: string; readonly port: number } | Duplex;

export interface NbdConnectOptions {
  /** Defaults to the empty name, the server's default export. */
  readonly exportName?: string;
  readonly signal?: AbortSignal;
  /** How long connecting and negotiating may take together, in milliseconds. Defaults to 10_000. */
  readonly timeoutMs?: number;
  /** How long the oldest request may go unanswered before the connection is given up, in milliseconds. Defaults to 60_000. */
  readonly requestTimeoutMs?: number;
  /** Asks for structured replies, without which there is no block status. Defaults to true. */
  readonly structured?: boolean;
}

/**
 * Connects and negotiates, within the options' time. On failure nothing is left behind.
 *
 * `onGranted` is called within the event that ends the handshake, so that no event of the socket falls between the two: whoever takes
 * the socket over listens to it there.
 */
export async function openConnection<T>(
  address: NbdAddress,
  options: NbdConnectOptions,
  onGranted: (socket: Duplex, granted: GrantedExport) => T,
): Promise<T> {
  const { signal, exportName = "", timeoutMs = 10_000, structured = true } = options;
  if (Buffer.byteLength(exportName) > wire.MAX_STRING_BYTES) {
    throw new NbdError("NBD_INVALID_ARGUMENT", `an export's name has at most ${wire.MAX_STRING_BYTES} bytes`);
  }
  const what = `the connection to the export '${exportName}'`;
  if (signal?.aborted) throw new NbdError("NBD_ABORTED", `${what} was aborted by its caller`, { cause: signal.reason });
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const socket = openStream(address);
  socket.on("error", () => {});
  const givenUp = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NbdError("NBD_TIMEOUT", `${what} was not made in ${timeoutMs} ms`)), timeoutMs);
    onAbort = () => reject(new NbdError("NBD_ABORTED", `${what} was aborted by its caller`, { cause: signal?.reason }));
    signal?.addEventListener("abort", onAbort, { once: true });
  });
  try {
    const establishing = establish(socket, address, {
      exportName,
      structured,
      onGranted: (granted) => onGranted(socket, granted),
    });
    return await Promise.race([establishing, givenUp]);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    if (onAbort) signal?.removeEventListener("abort", onAbort);
  }
}

function isStream(address: NbdAddress): address is Duplex {
  return typeof address === "object" && "write" in address;
}

function openStream(address: NbdAddress): Duplex {
  if (isStream(address)) return address;
  if (typeof address === "string") return connect(address);
  return connect({ port: address.port, host: address.host, noDelay: true });
}

async function establish<T>(
  socket: Duplex,
  address: NbdAddress,
  options: ClientHandshakeOptions & { readonly onGranted: (granted: GrantedExport) => T },
): Promise<T> {
  if (!isStream(address)) {
    const where = typeof address === "string" ? address : `${address.host}:${address.port}`;
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error): void =>
        reject(new NbdError("NBD_CONNECT_FAILED", `no server answers at '${where}': ${cause.message}`, { cause }));
      socket.once("error", onError);
      socket.once("connect", () => {
        socket.off("error", onError);
        resolve();
      });
    });
  }
  return runClientHandshake(socket, options, options.onGranted);
}
