import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { abortedError, armDeadline } from "./deadline.ts";
import { QmpClient, type QmpHandshakeOptions } from "./qmp-client.ts";
import { QmpError } from "./qmp-error.ts";

/** Where the server listens: the path of a unix socket, or a TCP address (QMP has no authentication: loopback only). */
export type QmpAddress = string | { readonly host: string; readonly port: number };

export interface ConnectQmpOptions extends QmpHandshakeOptions {
  /** How often to try to reach the socket. Defaults to 100. */
  readonly maxAttempts?: number;
  /** The pause after the first failed attempt, in milliseconds; it doubles up to 250. Defaults to 10. */
  readonly retryDelayMs?: number;
}

/** A QEMU that is still starting has no socket yet, or one that nobody listens on; a full backlog answers EAGAIN. */
const NOT_YET: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED", "EAGAIN"]);

/**
 * Connects and negotiates. `timeoutMs` (default 10_000) bounds the attempts and the negotiation together.
 *
 * QEMU serves one client at a time on a QMP socket: a second one connects and is never greeted, which ends as `QMP_TIMEOUT`.
 */
export async function connectQmp(address: QmpAddress, options: ConnectQmpOptions = {}): Promise<QmpClient> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const deadline = performance.now() + timeoutMs;
  const socket = await openSocket(address, options, deadline);
  return QmpClient.handshake(socket, { ...options, timeoutMs: Math.max(1, deadline - performance.now()) });
}

async function openSocket(address: QmpAddress, options: ConnectQmpOptions, deadline: number): Promise<Socket> {
  const { signal, maxAttempts = 100 } = options;
  const where = typeof address === "string" ? address : `${address.host}:${address.port}`;
  const what = `the connection to the QMP server at '${where}'`;
  let pauseMs = options.retryDelayMs ?? 10;
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw abortedError(what, signal);
    try {
      return await tryOnce(address, { signal, timeoutMs: Math.max(1, deadline - performance.now()), what });
    } catch (cause) {
      if (cause instanceof QmpError) throw cause;
      const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
      if (!NOT_YET.has(code) || attempt >= maxAttempts || performance.now() + pauseMs >= deadline) {
        const text = `${what} failed after ${attempt} attempts: ${code}`;
        throw new QmpError("QMP_CONNECT_FAILED", text, { cause });
      }
    }
    try {
      await delay(pauseMs, undefined, signal ? { signal } : {});
    } catch {
      throw abortedError(what, signal);
    }
    pauseMs = Math.min(250, pauseMs * 2);
  }
}

function tryOnce(
  address: QmpAddress,
  options: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number; readonly what: string },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = typeof address === "string" ? connect(address) : connect(address.port, address.host);
    const disarm = armDeadline(options, (error) => {
      socket.destroy();
      reject(error);
    });
    const onError = (error: Error): void => {
      disarm();
      socket.destroy();
      reject(error);
    };
    socket.once("error", onError);
    socket.once("connect", () => {
      disarm();
      socket.off("error", onError);
      resolve(socket);
    });
  });
}
