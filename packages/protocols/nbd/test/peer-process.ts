import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, watch } from "node:fs";
import { dirname } from "node:path";
import { NbdClient, type NbdConnectOptions } from "../src/index.ts";

/** Another NBD server in a process of its own. Disposing of it kills it and awaits its end. */
export interface PeerProcess extends AsyncDisposable {
  /** Resolves when it has ended. */
  readonly exited: Promise<unknown>;
  connect(options: NbdConnectOptions): Promise<NbdClient>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a server and resolves when the unix socket that it was told to listen on is there. */
export async function startPeer(path: string, name: string, ...args: readonly string[]): Promise<PeerProcess> {
  const watcher = watch(dirname(path));
  const child = spawn(name, args, { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const exited = once(child, "exit");
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const ended = exited.then(() => {
    throw new Error(`'${name}' did not start: ${errors}`);
  });
  ended.catch(() => {});
  while (!existsSync(path)) await Promise.race([once(watcher, "change"), ended]);
  watcher.close();
  return {
    exited,
    connect: async (options) => {
      // The socket's file is there a moment before its server listens.
      for (;;) {
        try {
          return await NbdClient.connect(path, options);
        } catch (error) {
          if ((error as { readonly code?: string }).code !== "NBD_CONNECT_FAILED" || !isRunning()) throw error;
        }
      }
    },
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      if (isRunning()) child.kill("SIGKILL");
      await exited;
    },
  };
}
