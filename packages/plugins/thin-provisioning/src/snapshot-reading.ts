import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { SnapshotAttachment } from "@vdc-os/core/storage/v1";
import { assertHostAccessible } from "./attachments.ts";
import { withSnapshot } from "./layer-tree.ts";
import type { FoundSnapshot } from "./snapshot-index.ts";
import type { ThinPool } from "./thin-pool.ts";

/** Who reads a snapshot on which host. The record says so first, and the host's storage process serves what that names, also after a restart. */
export class SnapshotReading {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async attach(
    { entry, snapshot: { snapshotId, name } }: FoundSnapshot,
    host: string,
    context: OperationContext,
  ): Promise<SnapshotAttachment> {
    const { catalog, processes, accessibleHosts } = this.#pool;
    assertHostAccessible(entry.record, accessibleHosts, host);
    const socket = await processes.ensure(host, context);
    let isNew = false;
    await catalog.update(entry, (record) => {
      const present = record.snapshots?.find((candidate) => candidate.snapshotId === snapshotId);
      if (present === undefined || present.deleted) {
        throw new VdcError("NOT_FOUND", `there is no snapshot '${name}' any more`, { reason: "VDC_NO_SUCH_SNAPSHOT" });
      }
      if (present.readers?.some((reader) => reader.host === host)) return record;
      isNew = true;
      return withSnapshot(record, snapshotId, (old) => ({
        ...old,
        readers: [...(old.readers ?? []), { host, socket }],
      }));
    });
    try {
      const ask = async (): Promise<void> => {
        const keys = (await this.#pool.keys.keysOf(entry, context)).wire();
        const params = { volumeId: entry.volumeId, snapshotId, ...(keys && { keys }) };
        await processes.request(host, "attachSnapshot", params, context);
        if (keys !== undefined) this.#pool.delivery.watch();
      };
      await ask().catch((error) => {
        // A change of keys may have been completed since the record was read.
        if (isVdcError(error) && error.reason === "VDC_WRONG_KEY") return ask();
        throw error;
      });
    } catch (error) {
      if (isNew && isVdcError(error) && !error.retryable) await this.#forget(entry, snapshotId, host);
      throw error;
    }
    return { snapshotId, host, transport: { kind: "nbd-unix", path: socket, exportName: snapshotId } };
  }

  async detach(
    { entry, snapshot: { snapshotId } }: FoundSnapshot,
    host: string,
    context: OperationContext,
  ): Promise<void> {
    await this.#forget(entry, snapshotId, host);
    const { processes } = this.#pool;
    // A host that does not answer can read on what it has open, which never changes; when its process starts again, it reads that it may not.
    await processes.request(host, "detachSnapshot", { volumeId: entry.volumeId, snapshotId }, context).catch(() => {});
  }

  #forget(entry: FoundSnapshot["entry"], snapshotId: string, host: string): Promise<void> {
    return this.#pool.catalog.update(entry, (record) =>
      record.snapshots?.some((one) => one.snapshotId === snapshotId && one.readers?.some((r) => r.host === host))
        ? withSnapshot(record, snapshotId, ({ readers = [], ...old }) => {
            const rest = readers.filter((reader) => reader.host !== host);
            return rest.length === 0 ? old : { ...old, readers: rest };
          })
        : record,
    );
  }
}
