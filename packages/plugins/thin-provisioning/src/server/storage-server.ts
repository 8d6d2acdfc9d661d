import { type Json, VdcError } from "@vdc-os/core";
import { NbdServer } from "@vdc-os/nbd";
import { backingFolder, type BackingResolver, Qcow2Image } from "@vdc-os/qcow2";
import { exportNameOf } from "../export-name.ts";
import { isVolumeId, PoolLayout } from "../pool-layout.ts";
import { storageFailure } from "../storage-failure.ts";
import { readRecord, type VolumeRecord } from "../volume-record.ts";
import { GenerationFence } from "./generation-fence.ts";
import { ImageBackend } from "./image-backend.ts";
import { ServingMarks } from "./serving-marks.ts";

/** Config of a storage process. */
export interface StorageServerConfig {
  readonly poolDirectory: string;
  readonly host: string;
  /** The Unix socket of the exports. */
  readonly socket: string;
}

interface Served {
  readonly generation: number;
  readonly exportName: string;
  readonly image: Qcow2Image;
  readonly fence: GenerationFence;
  copyUp: { readonly abort: AbortController; readonly done: Promise<void>; fraction: number } | undefined;
}

/** Caches are per image of a chain, and a host serves many. */
const cacheBytes = 4 * 1024 * 1024;

/**
 * Serves attached volumes of a pool on one host.
 *
 * The volume's record on disk says who may use it: each call, and each start, serves only what that names, so a late or repeated
 * message can't bring a revoked owner back. A kill loses nothing that was flushed; the next start serves the same volumes.
 */
export class StorageServer {
  readonly #layout: PoolLayout;
  readonly #host: string;
  readonly #marks: ServingMarks;
  readonly #nbd = new NbdServer({
    maxConnections: 4096,
    onError: (error, request, { exportName }) =>
      process.stderr.write(`${exportName}: ${request.command} at ${request.offset} failed: ${String(error)}\n`),
  });
  readonly #served = new Map<string, Served>();
  /** The last change of each volume, so that they come one after the other. */
  readonly #queue = new Map<string, Promise<unknown>>();
  readonly #resolveBacking: BackingResolver;

  private constructor(config: StorageServerConfig) {
    this.#layout = new PoolLayout(config.poolDirectory);
    this.#host = config.host;
    this.#marks = new ServingMarks(this.#layout.serving(config.host));
    this.#resolveBacking = backingFolder(this.#layout.volumes);
  }

  /** Serves what was served before, then listens. A volume that can't be opened is reported, and harms no other. */
  static async open(config: StorageServerConfig): Promise<StorageServer> {
    const server = new StorageServer(config);
    for (const volumeId of server.#marks.list()) {
      try {
        const record = server.#permitted(volumeId);
        if (record === undefined) server.#marks.clear(volumeId);
        else await server.#serve(record);
      } catch (error) {
        process.stderr.write(`volume ${volumeId} cannot be served: ${String(error)}\n`);
      }
    }
    await server.#nbd.listenUnix(config.socket);
    return server;
  }

  /** Serves the attachment that the volume's record names. Repeating it changes nothing. */
  attach({ volumeId, generation }: { readonly volumeId: string; readonly generation: number }): Promise<Json> {
    return this.#inTurn(volumeId, async () => {
      const record = this.#permitted(volumeId);
      if (record?.attachment?.generation !== generation) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${volumeId}' is not attached here in generation ${generation}`,
          {
            reason: "VDC_FENCED",
          },
        );
      }
      const present = this.#served.get(volumeId);
      if (present !== undefined && present.generation !== generation) await this.#end(volumeId, present);
      if (present?.generation !== generation) await this.#serve(record);
      return { exportName: exportNameOf(volumeId, generation) };
    });
  }

  /** Cuts off the owner up to a generation: what is in flight is finished, the rest refused. */
  revoke({ volumeId, generation }: { readonly volumeId: string; readonly generation: number }): Promise<Json> {
    // A copy would make the fence wait for it.
    const copying = this.#served.get(volumeId);
    if (copying !== undefined && copying.generation <= generation) copying.copyUp?.abort.abort();
    return this.#inTurn(volumeId, async () => {
      const served = this.#served.get(volumeId);
      if (served !== undefined && served.generation <= generation) await this.#end(volumeId, served);
      return null;
    });
  }

  /** Copies into a served volume what it reads from below. */
  async copyUp({ volumeId }: { readonly volumeId: string }, signal: AbortSignal): Promise<Json> {
    const served = this.#served.get(volumeId);
    if (served === undefined) {
      throw new VdcError("UNAVAILABLE", `volume '${volumeId}' is not served now`, { reason: "VDC_NOT_SERVED" });
    }
    if (served.copyUp !== undefined) throw new VdcError("ABORTED", `volume '${volumeId}' is being copied up already`);
    const abort = new AbortController();
    const done = served.image
      .flatten({
        signal: AbortSignal.any([abort.signal, signal]),
        onProgress: ({ doneBytes, totalBytes }) => {
          if (served.copyUp !== undefined) served.copyUp.fraction = doneBytes / totalBytes;
        },
      })
      .finally(() => {
        served.copyUp = undefined;
      });
    served.copyUp = { abort, done, fraction: 0 };
    try {
      await done;
    } catch (error) {
      throw storageFailure(error, `copying up volume '${volumeId}'`);
    }
    return null;
  }

  status(): Json {
    return {
      volumes: [...this.#served].map(([volumeId, { generation, exportName, copyUp }]) => ({
        volumeId,
        generation,
        exportName,
        ...(copyUp === undefined ? {} : { copyUpFraction: copyUp.fraction }),
      })),
      connections: this.#nbd.connections.length,
    };
  }

  /** Ends in order: everything acknowledged is flushed. The marks stay, so the next start serves the same. */
  async close(): Promise<void> {
    for (const { copyUp } of this.#served.values()) copyUp?.abort.abort();
    await Promise.allSettled(this.#queue.values());
    await this.#nbd.close();
    const closing = [...this.#served.values()].map(async ({ image, copyUp }) => {
      await copyUp?.done.catch(() => {});
      await image.close();
    });
    this.#served.clear();
    await Promise.all(closing);
  }

  /** The record of a volume, if it says that this host serves it. */
  #permitted(volumeId: string): VolumeRecord | undefined {
    if (!isVolumeId(volumeId)) throw new VdcError("INVALID_ARGUMENT", `'${volumeId}' is no volume id`);
    let record: VolumeRecord;
    try {
      record = readRecord(this.#layout.record(volumeId));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    const { attachment } = record;
    const here = attachment?.host === this.#host && attachment.mode === "served" && !attachment.ending;
    return here ? record : undefined;
  }

  async #serve(record: VolumeRecord): Promise<void> {
    const { volumeId, attachment } = record;
    if (attachment === undefined) return;
    const { generation, access } = attachment;
    let image: Qcow2Image;
    try {
      const readOnly = access === "readOnly";
      image = await Qcow2Image.open(this.#layout.image(volumeId), {
        readOnly,
        resolveBacking: this.#resolveBacking,
        cacheBytes,
      });
    } catch (error) {
      throw storageFailure(error, `opening volume '${volumeId}'`);
    }
    const fence = new GenerationFence(generation);
    const exportName = exportNameOf(volumeId, generation);
    this.#marks.set(volumeId);
    this.#nbd.addExport({ name: exportName, backend: new ImageBackend(image), interceptor: fence });
    this.#served.set(volumeId, { generation, exportName, image, fence, copyUp: undefined });
  }

  async #end(volumeId: string, served: Served): Promise<void> {
    served.copyUp?.abort.abort();
    served.fence.close();
    await this.#nbd.removeExport(served.exportName);
    served.fence.disconnect();
    this.#served.delete(volumeId);
    this.#marks.clear(volumeId);
    await served.copyUp?.done.catch(() => {});
    try {
      await served.image.close();
    } catch (error) {
      // The owner is cut off all the same; what it had flushed is on disk.
      process.stderr.write(`volume ${volumeId} was not closed in order: ${String(error)}\n`);
    }
  }

  #inTurn<T>(volumeId: string, run: () => Promise<T>): Promise<T> {
    const before = this.#queue.get(volumeId) ?? Promise.resolve();
    const turn = before.then(run, run);
    const settled = turn
      .catch(() => {})
      .finally(() => {
        if (this.#queue.get(volumeId) === settled) this.#queue.delete(volumeId);
      });
    this.#queue.set(volumeId, settled);
    return turn;
  }
}
