import { VdcError } from "@vdc-os/core";
import { type HostRuntime, hostRuntime } from "@vdc-os/core/host/v1";
import { awaitExit, identifyProcess } from "@vdc-os/core/local";
import { connectProviders, connectUnix, type RemoteConnection } from "@vdc-os/core/remote";
import { HostDirectory } from "./host-directory.ts";

/** A connection to a host runtime that runs in a process of its own. */
export interface HostRuntimeConnection extends AsyncDisposable {
  readonly hostId: string;
  /** The pid of the runtime. */
  readonly pid: number;
  /** The `vdc.host` provider. Its name is the host's id. */
  readonly runtime: HostRuntime;
  /** For the providers of the host's plugins: `connection.proxy(point, name)`, `connection.peer.providers`. */
  readonly connection: RemoteConnection;
  /** Resolves when the connection is over. The runtime may be gone, or only the connection: connect again, or spawn. */
  readonly closed: Promise<unknown>;
  /** Leaves the runtime. A durable one goes on; an ephemeral one removes everything after its grace period. */
  close(): Promise<void>;
  /** Ends the runtime, and waits until it has. Its processes go on, unless `removeProcesses`. */
  stop(options?: { readonly removeProcesses?: boolean }): Promise<void>;
}

/** How long a runtime that was asked to stop may take to end. */
const endTimeoutMs = 10_000;

/** Connects to the runtime of a host's folder. Rejects with `UNAVAILABLE` when there is none. */
export async function connectHostRuntime(
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<HostRuntimeConnection> {
  const directory = HostDirectory.find(path);
  if (directory === undefined) throw new VdcError("UNAVAILABLE", `there is no host in '${path}'`);
  const connection = await connectProviders(await connectUnix(directory.socket, options), options);
  const hello = (await connection.link.request("host.hello", [], options.signal)) as { hostId: string; pid: number };
  const { hostId, pid } = hello;
  const identity = await identifyProcess(pid);
  const close = (): Promise<void> => connection.close();
  return {
    hostId,
    pid,
    runtime: connection.proxy(hostRuntime, hostId),
    connection,
    closed: connection.closed,
    close,
    stop: async ({ removeProcesses = false } = {}) => {
      await connection.link.request("host.stop", [{ removeProcesses }]);
      await connection.closed;
      if (identity !== undefined) await awaitExit(identity, endTimeoutMs);
    },
    [Symbol.asyncDispose]: close,
  };
}
