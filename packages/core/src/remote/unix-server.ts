import { chmodSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { VdcError } from "../error/vdc-error.ts";
import { checkUnixSocketPath } from "./unix-socket-path.ts";

/** A server on a Unix socket. */
export interface UnixServer extends AsyncDisposable {
  readonly path: string;
  /** Stops listening, ends all connections and removes the socket. */
  close(): Promise<void>;
}

/** Connects to a Unix socket. Rejects with `UNAVAILABLE` when nobody listens. */
export function connectUnix(
  path: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Socket> {
  checkUnixSocketPath(path);
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const { signal } = options;
    const onAbort = (): void => {
      socket.destroy();
      reject(signal?.reason);
    };
    socket.once("connect", () => {
      signal?.removeEventListener("abort", onAbort);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (cause) => {
      signal?.removeEventListener("abort", onAbort);
      reject(new VdcError("UNAVAILABLE", `nobody answers on '${path}'`, { reason: "VDC_NOT_LISTENING", cause }));
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * Listens on a Unix socket of mode 0600. A socket that was left by a process that died is replaced; one that answers is refused with
 * `ALREADY_EXISTS`.
 */
export async function listenUnix(path: string, onConnection: (socket: Socket) => void): Promise<UnixServer> {
  checkUnixSocketPath(path);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    onConnection(socket);
  });
  try {
    await listen(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    const alive = await connectUnix(path).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );
    if (alive)
      throw new VdcError("ALREADY_EXISTS", `somebody listens on '${path}' already`, { reason: "VDC_SOCKET_IN_USE" });
    await unlink(path).catch(() => {});
    await listen(server, path);
  }
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
    return closing;
  };
  return { path, close, [Symbol.asyncDispose]: close };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // The mask, not chmod alone: between the two the socket would be open to others.
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off("error", reject);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
    server.once("listening", () => chmodSync(path, 0o600));
  });
}
