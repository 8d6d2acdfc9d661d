import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { VdcError } from "../error/vdc-error.ts";

/** Something that at most one process of this machine holds. */
export interface ProcessLock {
  release(): Promise<void>;
}

/**
 * Takes a lock that ends with the process that holds it, however that dies: there is no stale lock to judge. Throws `ALREADY_EXISTS`
 * when somebody holds it, also in this process.
 *
 * On Linux it is an abstract Unix socket, so it is atomic. Elsewhere there is no such thing, and the lock holds nobody off: what it
 * protects there is protected by its socket alone.
 */
export async function takeProcessLock(subject: string): Promise<ProcessLock> {
  if (process.platform !== "linux") return { release: async () => {} };
  const name = `\0vdc-os-${createHash("sha256")
    .update(`${process.getuid?.() ?? 0}\n${subject}`)
    .digest("hex")}`;
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EADDRINUSE") return reject(cause);
      reject(
        new VdcError("ALREADY_EXISTS", `'${subject}' is held by another process`, { reason: "VDC_LOCKED", cause }),
      );
    });
    server.listen(name, resolve);
  });
  // A lock alone keeps no process alive.
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
