import { type Json, VdcError } from "@vdc-os/core";
import { NbdServer } from "@vdc-os/nbd";
import { backingFolder, type BackingResolver } from "@vdc-os/qcow2";
import { exportNameOf } from "../export-name.ts";
import { PoolLayout } from "../pool-layout.ts";
import { storageFailure } from "../storage-failure.ts";
import type { VolumeRecord } from "../volume-record.ts";
import { type KeysOnTheWire, VolumeKeys } from "../volume-keys.ts";
import { LeftUnserved } from "./left-unserved.ts";
import { PermittedRecords } from "./permitted-records.ts";
import { ServedVolume } from "./served-volume.ts";
import { type ServingMark, ServingMarks } from "./serving-marks.ts";
import { SnapshotExports } from "./snapshot-exports.ts";
import type { ServerActivity } from "./flush-placement.ts";
import { SpaceGuard } from "./space-guard.ts";
import { Turns } from "./turns.ts";

/** Config of a storage process. */
export interface StorageServerConfig {
  readonly poolDirectory: string;
  readonly host: string;
  /** The Unix socket of the exports. */
  readonly socket: string;
  /** What volumes may take in all, in bytes. `undefined` when only the file system limits them. */
  readonly limitBytes?: number | undefined;
  /** What becomes of a write that finds no space: it waits, or fails with `ENOSPC`. */
  readonly outOfSpace: "pause" | "fail";
}

/** The keys of what is served, which come with it. Absent where nothing is encrypted. */
interface WithKeys {
  readonly keys?: KeysOnTheWire | undefined;
}

/** What was served before this process was started, and can't be opened until its keys are brought. */
interface Waiting {
  readonly volumeId: string;
  readonly snapshotId?: string | undefined;
}

/** A call about one attachment. */
export interface OwnerParams {
  readonly volumeId: string;
  readonly generation: number;
}

/**
 * Serves attached volumes of a pool on one host.
 *
 * The volume's record on disk says who may use it: each call, and each start, serves only what that names, so a late or repeated
 * message can't bring a revoked owner back. A kill loses nothing that was flushed; the next start serves the same volumes.
 */
export class StorageServer {
  readonly #layout: PoolLayout;
  readonly #records: PermittedRecords;
  readonly #marks: ServingMarks;
  readonly #outOfSpace: "pause" | "fail";
  readonly #space: SpaceGuard | undefined;
  readonly #activity: ServerActivity = { requests: 0 };
  readonly #nbd = new NbdServer({
    maxConnections: 4096,
    onError: (error, request, { exportName }) =>
      process.stderr.write(`${exportName}: ${request.command} at ${request.offset} failed: ${String(error)}\n`),
  });
  readonly #served = new Map<string, ServedVolume>();
  /** By the id of the volume or snapshot. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #turns = new Turns();
  readonly #unserved = new LeftUnserved((mark) => this.#serveAgain(mark));
  readonly #resolveBacking: BackingResolver;
  readonly #snapshots: SnapshotExports;

  private constructor(config: StorageServerConfig) {
    const layout = new PoolLayout(config.poolDirectory);
    this.#layout = layout;
    this.#records = new PermittedRecords(layout, config.host);
    this.#outOfSpace = config.outOfSpace;
    this.#marks = new ServingMarks(layout.serving(config.host));
    this.#resolveBacking = backingFolder(layout.volumes);
    const { limitBytes } = config;
    this.#space = limitBytes === undefined ? undefined : new SpaceGuard({ folder: layout.volumes, limitBytes });
    const [host, nbd, marks, resolveBacking] = [config.host, this.#nbd, this.#marks, this.#resolveBacking];
    this.#snapshots = new SnapshotExports({ layout, host, nbd, marks, resolveBacking, activity: this.#activity });
  }

  /** Serves what was served before, then listens. A volume that can't be opened is reported, tried again, and harms no other. */
  static async open(config: StorageServerConfig): Promise<StorageServer> {
    const server = new StorageServer(config);
    await server.#space?.measure();
    for (const mark of server.#marks.list()) await server.#unserved.try(mark);
    await server.#nbd.listenUnix(config.socket);
    return server;
  }

  /** Serves the attachment that the volume's record names. Repeating it changes nothing. */
  attach({ volumeId, generation, keys }: OwnerParams & WithKeys): Promise<Json> {
    return this.#turns.run(volumeId, async () => {
      const record = this.#records.permitted(volumeId);
      if (record?.attachment?.generation !== generation) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${volumeId}' is not attached here in generation ${generation}`,
          { reason: "VDC_FENCED" },
        );
      }
      const present = this.#served.get(volumeId);
      if (present !== undefined && present.generation !== generation) await this.#end(present);
      if (present?.generation !== generation) await this.#serve(record, VolumeKeys.of(keys));
      else if (keys !== undefined) present.keys.replace(keys);
      return { exportName: exportNameOf(volumeId, generation) };
    });
  }

  /** Takes keys over for what is served, and serves what waited for them. */
  async unlock({ volumeId, snapshotId, keys }: Waiting & { readonly keys: KeysOnTheWire }): Promise<Json> {
    const id = snapshotId ?? volumeId;
    // At once: what waits for them in its turn would never have it.
    if (snapshotId === undefined) this.#served.get(volumeId)?.keys.replace(keys);
    if (!this.#waiting.has(id)) return null;
    return this.#turns.run(id, async () => {
      if (!this.#waiting.has(id)) return null;
      if (snapshotId !== undefined) {
        await this.#snapshots.attach(this.#records.find(volumeId), snapshotId, VolumeKeys.of(keys));
      } else {
        const record = this.#records.permitted(volumeId);
        if (record !== undefined) await this.#serve(record, VolumeKeys.of(keys));
        else this.#marks.clear({ volumeId });
      }
      this.#waiting.delete(id);
      return null;
    });
  }

  /** Ends every attachment of a volume up to a generation: nothing of theirs reaches it once this has resolved. */
  revoke({ volumeId, generation }: OwnerParams): Promise<Json> {
    // A copy would make the fence wait for it.
    const serving = this.#served.get(volumeId);
    if (serving !== undefined && serving.generation <= generation) serving.interrupt();
    return this.#turns.run(volumeId, async () => {
      const served = this.#served.get(volumeId);
      if (served !== undefined && served.generation <= generation) await this.#end(served);
      // The record says that it has ended.
      if (this.#waiting.has(volumeId) && this.#records.permitted(volumeId) === undefined) {
        this.#waiting.delete(volumeId);
        this.#marks.clear({ volumeId });
      }
      return null;
    });
  }

  /** Runs a copy beside a served volume's other calls: a fence must not wait for it. Throws `UNAVAILABLE` when it is not served. */
  async job(volumeId: string, what: string, run: (served: ServedVolume) => Promise<void>): Promise<Json> {
    const served = this.#served.get(volumeId);
    if (served === undefined) throw this.#notServed(volumeId);
    try {
      await run(served);
    } catch (error) {
      throw storageFailure(error, what);
    }
    return null;
  }

  /** Runs a short change of what an owner is served, in its turn. Throws `UNAVAILABLE` when that owner is not served. */
  withOwner<T>({ volumeId, generation }: OwnerParams, run: (served: ServedVolume) => T | Promise<T>): Promise<T> {
    return this.#turns.run(volumeId, async () => {
      const served = this.#served.get(volumeId);
      if (served?.generation !== generation) throw this.#notServed(volumeId);
      try {
        return await run(served);
      } catch (error) {
        throw storageFailure(error, `volume '${volumeId}'`);
      }
    });
  }

  /** Takes over what the volume's record says of limits and checkpoints, and tells what is in force. */
  refresh(params: OwnerParams): Promise<Json> {
    return this.withOwner(params, (served) => {
      const record = this.#records.permitted(params.volumeId);
      if (record !== undefined) served.refresh(record);
      return { qos: { ...served.fence.throttle.policy } };
    });
  }

  /** Serves a snapshot for reading. */
  attachSnapshot({
    volumeId,
    snapshotId,
    keys,
  }: { readonly volumeId: string; readonly snapshotId: string } & WithKeys): Promise<Json> {
    return this.#turns.run(snapshotId, async () => {
      await this.#snapshots.attach(this.#records.find(volumeId), snapshotId, VolumeKeys.of(keys));
      this.#waiting.delete(snapshotId);
      this.#unserved.forget(snapshotId);
      return null;
    });
  }

  detachSnapshot({ volumeId, snapshotId }: { readonly volumeId: string; readonly snapshotId: string }): Promise<Json> {
    return this.#turns.run(snapshotId, async () => {
      this.#waiting.delete(snapshotId);
      this.#unserved.forget(snapshotId);
      await this.#snapshots.detach(volumeId, snapshotId);
      return null;
    });
  }

  status(): Json {
    return {
      volumes: [...this.#served.values()].map(({ volumeId, generation, exportName, jobFraction, backend }) => ({
        volumeId,
        generation,
        exportName,
        waitingWrites: backend.waitingWrites,
        ...(jobFraction === undefined ? {} : { copyUpFraction: jobFraction }),
      })),
      unserved: this.#unserved.all.map(({ volumeId, snapshotId, why, outOfSpace }) => ({
        volumeId,
        ...(snapshotId === undefined ? {} : { snapshotId }),
        why,
        outOfSpace,
      })),
      needsKey: [
        ...[...this.#waiting.values()].map((one) => ({ ...one })),
        ...[...this.#served.values()].flatMap(({ needsKey, volumeId }) => (needsKey ? [{ volumeId }] : [])),
      ] as Json,
      connections: this.#nbd.connections.length,
    };
  }

  /** Ends in order: everything acknowledged is flushed. The marks stay, so the next start serves the same. */
  async close(): Promise<void> {
    this.#unserved.close();
    for (const served of this.#served.values()) served.interrupt();
    await this.#turns.settled();
    await this.#nbd.close();
    const closing = [...this.#served.values()].map((served) => served.close());
    this.#served.clear();
    await Promise.all([...closing, this.#snapshots.close()]);
  }

  /** What the process before has served, if it is still to be. */
  #serveAgain(mark: ServingMark): Promise<void> {
    const { volumeId, snapshotId } = mark;
    return this.#turns.run(snapshotId ?? volumeId, async () => {
      if (this.#served.has(volumeId) && snapshotId === undefined) return;
      const record = snapshotId === undefined ? this.#records.permitted(volumeId) : this.#records.find(volumeId);
      const isHere = snapshotId === undefined ? record !== undefined : this.#snapshots.isReadHere(record, snapshotId);
      if (record === undefined || !isHere) this.#marks.clear(mark);
      // A key is in memory alone, and that of the process before is gone.
      else if (record.encryption !== undefined) this.#waiting.set(snapshotId ?? volumeId, mark);
      else if (snapshotId !== undefined) await this.#snapshots.attach(record, snapshotId, new VolumeKeys());
      else await this.#serve(record, new VolumeKeys());
    });
  }

  async #serve(record: VolumeRecord, keys: VolumeKeys): Promise<void> {
    const { volumeId, attachment } = record;
    const exportName = exportNameOf(volumeId, attachment?.generation ?? 0);
    const served = await ServedVolume.open({
      layout: this.#layout,
      record,
      resolveBacking: this.#resolveBacking,
      keys,
      space: this.#space,
      outOfSpace: this.#outOfSpace,
      activity: this.#activity,
    });
    this.#marks.set({ volumeId });
    this.#nbd.addExport({ name: exportName, backend: served.backend, interceptor: served.fence });
    this.#served.set(volumeId, served);
    this.#waiting.delete(volumeId);
    this.#unserved.forget(volumeId);
  }

  async #end(served: ServedVolume): Promise<void> {
    const { volumeId, fence, exportName } = served;
    fence.close();
    served.stop();
    await this.#nbd.removeExport(exportName);
    fence.disconnect();
    this.#served.delete(volumeId);
    this.#marks.clear({ volumeId });
    try {
      await served.close();
    } catch (error) {
      // The owner is cut off all the same; what it had flushed is on disk.
      process.stderr.write(`volume ${volumeId} was not closed in order: ${String(error)}\n`);
    }
  }

  #notServed(volumeId: string): VdcError {
    const waits = this.#waiting.has(volumeId);
    return new VdcError("UNAVAILABLE", `volume '${volumeId}' ${waits ? "waits for its key" : "is not served now"}`, {
      reason: waits ? "VDC_KEY_NEEDED" : "VDC_NOT_SERVED",
    });
  }
}
