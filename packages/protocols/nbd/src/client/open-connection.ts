import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { NbdError } from "../nbd-error.ts";
import { askForTls, type Exchange, greet, runExchange } from "./client-handshake.ts";
import { type NbdClientTls, startTls } from "./client-tls.ts";

/** Where a server listens: a unix socket's path, a TCP address, or a stream that is connected already. */
export type NbdAddress = string | { readonly host: string; readonly port: number } | Duplex;

/** How a server is reached. */
export interface NbdReachOptions {
  /** Speaks TLS, or fails. Without it nothing is encrypted. */
  readonly tls?: NbdClientTls;
  readonly signal?: AbortSignal;
  /** How long connecting and negotiating may take together, in milliseconds. Defaults to 10_000. */
  readonly timeoutMs?: number;
}

/** What is negotiated once the server has been reached. */
export interface Negotiation<T, R> {
  /** Names the connection in errors. */
  readonly what: string;
  readonly exchange: (socket: Duplex, greeting: { readonly noZeroes: boolean }) => Exchange<T>;
  /**
   * Called within the event that ends the handshake, so that no event of the socket falls between the two: whoever takes the socket
   * over listens to it there.
   */
  readonly onDone: (socket: Duplex, result: T) => R;
}

/** Connects and negotiates, within the options' time. On failure nothing is left behind. */
export async function openConnection<T, R>(
  address: NbdAddress,
  options: NbdReachOptions,
  negotiation: Negotiation<T, R>,
): Promise<R> {
  const { signal, timeoutMs = 10_000 } = options;
  const { what } = negotiation;
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
    return await Promise.race([establish(socket, address, options, negotiation), givenUp]);
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

async function establish<T, R>(
  socket: Duplex,
  address: NbdAddress,
  options: NbdReachOptions,
  { exchange, onDone }: Negotiation<T, R>,
): Promise<R> {
  if (!isStream(address)) await connected(socket, address);
  const { tls } = options;
  if (!tls) {
    const all = function* (): Exchange<T> {
      return yield* exchange(socket, yield* greet(socket));
    };
    return runExchange(socket, all(), (result) => onDone(socket, result));
  }
  const untilTls = function* (): Exchange<{ readonly noZeroes: boolean }> {
    const greeting = yield* greet(socket);
    yield* askForTls(socket);
    return greeting;
  };
  const host = typeof address === "object" && !isStream(address) ? address.host : undefined;
  let greeting = { noZeroes: false };
  const securing = await runExchange(socket, untilTls(), (result) => {
    greeting = result;
    return { secure: startTls(socket, tls, host) };
  });
  const secure = await securing.secure;
  // Whoever destroys the one must not leave the other.
  secure.on("error", () => {});
  secure.once("close", () => socket.destroy());
  return runExchange(secure, exchange(secure, greeting), (result) => onDone(secure, result));
}

async function connected(socket: Duplex, address: Exclude<NbdAddress, Duplex>): Promise<void> {
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
