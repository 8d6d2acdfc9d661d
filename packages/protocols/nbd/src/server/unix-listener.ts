import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, join } from "node:path";
import { NbdError } from "../nbd-error.ts";

/**
 * Lets a server listen on a unix socket that only its owner may open, at no moment otherwise: it is bound inside a private folder,
 * gets its mode there, and is then moved to its place. So a dead server's socket is replaced in one step, too.
 *
 * `close` of the result removes the socket unless another one has taken its place.
 */
export async function listenOnUnixSocket(server: Server, path: string): Promise<{ close(): Promise<void> }> {
  if (await isServed(path)) {
    throw new NbdError("NBD_ADDRESS_IN_USE", `another server listens on '${path}'`);
  }
  const folder = mkdtempSync(join(dirname(path), "n"));
  const temporary = join(folder, "s");
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(temporary, resolve);
    });
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (cause) {
    server.close();
    const text = `cannot listen on '${path}': ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new NbdError("NBD_INVALID_ARGUMENT", text, { cause });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const { ino } = lstatSync(path);
  return {
    close: () => {
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** True when a server accepts connections at `path`. Anything there that is not a socket is an error: it is not ours to replace. */
function isServed(path: string): Promise<boolean> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return Promise.resolve(false);
  if (!stat.isSocket()) {
    return Promise.reject(new NbdError("NBD_INVALID_ARGUMENT", `cannot listen on '${path}': it is not a socket`));
  }
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // Refused means that its server is dead; a full backlog means that it lives.
    socket.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}
