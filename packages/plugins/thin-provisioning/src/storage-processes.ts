import { join } from "node:path";
import { isVdcError, type Json, type OperationContext, type OwnerStamp, type Providers, VdcError } from "@vdc-os/core";
import type { HostRuntime } from "@vdc-os/core/host/v1";
import type { StorageServerConfig } from "./server/storage-server.ts";

/** Options of {@link StorageProcesses}. */
export interface StorageProcessesOptions {
  readonly hosts: Providers<HostRuntime>;
  /** The pool's folder, as the hosts see it. */
  readonly poolDirectory: string;
  /** The pool's name. */
  readonly name: string;
  readonly owner: OwnerStamp;
  /** What volumes may take in all, in bytes. `undefined` when nothing but the file system limits them. */
  readonly limitBytes: number | undefined;
  readonly outOfSpace: "pause" | "fail";
}

/** The longest path of an NBD socket: its server makes it under a temporary name first. */
const maxSocketBytes = 95;

/** A pool's storage processes: one on each host where a volume is attached, supervised by the host's runtime. */
export class StorageProcesses {
  readonly #options: StorageProcessesOptions;
  readonly processId: string;

  constructor(options: StorageProcessesOptions) {
    this.#options = options;
    this.processId = `storage-${options.name}`;
  }

  /** Makes sure that a host's process runs, and tells its socket. Throws `NOT_FOUND` for an unknown host. */
  async ensure(host: string, context: OperationContext): Promise<string> {
    const { hosts, name, owner, poolDirectory, limitBytes, outOfSpace } = this.#options;
    const runtime = hosts.get(host);
    const { directory } = await runtime.inventory({}, context);
    const socket = join(directory, "run", `st-${name}.sock`);
    if (Buffer.byteLength(socket) > maxSocketBytes) {
      throw new VdcError("FAILED_PRECONDITION", `the socket path '${socket}' is longer than ${maxSocketBytes} bytes`, {
        reason: "VDC_SOCKET_PATH_TOO_LONG",
      });
    }
    const config = { poolDirectory, host, socket, outOfSpace, ...(limitBytes === undefined ? {} : { limitBytes }) };
    await runtime.ensureProcess(
      {
        processId: this.processId,
        owner,
        program: {
          kind: "module",
          module: import.meta.resolve("@vdc-os/plugin-thin-provisioning/server"),
          config: config satisfies StorageServerConfig,
        },
      },
      context,
    );
    return socket;
  }

  /** Calls a method of a host's process. */
  async request(host: string, method: string, params: Json, context: OperationContext): Promise<Json> {
    const runtime = this.#options.hosts.get(host);
    return runtime.request({ processId: this.processId, method, params }, context);
  }

  /**
   * Cuts off a volume's owner on a host. The volume's record must say already that the attachment is ending: a process that starts
   * later reads that. Throws `UNAVAILABLE` when the host can't be asked: its process may still serve the old owner.
   */
  async cutOff(
    host: string,
    owner: { readonly volumeId: string; readonly generation: number },
    context: OperationContext,
  ): Promise<void> {
    const { hosts } = this.#options;
    if (!hosts.has(host)) throw this.#cannotFence(host, owner.volumeId, undefined);
    try {
      if (await this.#isDead(host, context)) return;
      await this.request(host, "revoke", { ...owner }, context);
    } catch (error) {
      if (isVdcError(error, "CANCELLED") || isVdcError(error, "DEADLINE_EXCEEDED")) throw error;
      throw this.#cannotFence(host, owner.volumeId, error);
    }
  }

  /** Whether a host's runtime vouches that the process does not run. */
  async #isDead(host: string, context: OperationContext): Promise<boolean> {
    const processes = await this.#options.hosts.get(host).listProcesses({}, context);
    const found = processes.find(({ processId }) => processId === this.processId);
    return found === undefined || found.state === "exited" || found.state === "backingOff";
  }

  #cannotFence(host: string, volumeId: string, cause: unknown): VdcError {
    return new VdcError(
      "UNAVAILABLE",
      `volume '${volumeId}' can't be fenced: host '${host}' does not answer, and its storage process may still serve it`,
      { reason: "VDC_CANNOT_FENCE", blockers: [{ kind: "host", name: host }], cause },
    );
  }
}
