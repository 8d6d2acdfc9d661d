import { type Description, type OperationContext, type Page, type PageRequest, VdcError } from "@vdc-os/core";
import {
  type Attachment,
  type AttachVolume,
  type CreateVolume,
  type PoolCapacity,
  type StorageFacets,
  type StorageProvider,
  storageProvider,
  type Volume,
  type VolumeHealth,
  type VolumeTransport,
} from "@vdc-os/core/storage/v1";
import { fencedError } from "../world/fenced-error.ts";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";
import { changedBlocksFacet } from "./changed-blocks-facet.ts";
import { clonesFacet, layeringFacet, lineageFacet } from "./clones-facet.ts";
import { importExportFacet } from "./import-export-facet.ts";
import { qosFacet } from "./qos-facet.ts";
import { resizeFacet } from "./resize-facet.ts";
import type { SimulatedBlockDevice } from "./simulated-block-device.ts";
import { groupSnapshotsFacet, openSnapshotExport, snapshotsFacet } from "./snapshots-facet.ts";
import { type PoolOptions, VolumePool } from "./volume-pool.ts";
import type { VolumeRecord } from "./volume-record.ts";

/**
 * Volumes in memory. Attachments are fenced for real: the data path asks the pool at each call. Content is kept sparsely, so that clones,
 * overlays and snapshots can be compared byte by byte.
 */
export class SimulatedStorage implements StorageProvider {
  readonly facets: StorageFacets;
  readonly #pool: VolumePool;
  readonly #world: WorldServices;

  constructor(name: string, world: WorldServices, options: PoolOptions = {}) {
    this.#pool = new VolumePool(name, world, options);
    this.#world = world;
    const pool = this.#pool;
    this.facets = {
      resize: resizeFacet(pool),
      snapshots: snapshotsFacet(pool),
      groupSnapshots: groupSnapshotsFacet(pool),
      layering: layeringFacet(pool),
      clones: clonesFacet(pool),
      lineage: lineageFacet(pool),
      changedBlocks: changedBlocksFacet(pool),
      discard: {
        reclaim: async ({ volumeId }) => ({ reclaimedBytes: pool.volume(volumeId).layer.reclaim() }),
      },
      qos: qosFacet(pool),
      importExport: importExportFacet(pool),
    };
  }

  async describe(): Promise<Description> {
    return describeSimulated(storageProvider, {
      available: {
        resize: { online: true, shrink: true },
        snapshots: { maxSnapshots: 0, restoreOnlyLatest: false },
        groupSnapshots: {},
        layering: { maxDepth: 0, parents: ["volume", "snapshot"] },
        clones: { kinds: ["linked", "full"], maxDepth: 0, maxChildren: 0, sources: ["volume", "snapshot"] },
        lineage: {},
        changedBlocks: { granularityBytes: 4096, survivesCrash: true },
        discard: {},
        qos: { maxIops: 0, maxBytesPerSecond: 0 },
        importExport: { importFormats: ["raw"], exportFormats: ["raw"] },
      },
      because: {
        encryption: "simulated content is in memory, in the clear",
        migrate: "a simulated pool is alone",
        replicate: "a simulated pool is alone",
      },
      attributes: { ...this.#pool.attributes, fencing: "enforced", pool: this.#pool.name },
    });
  }

  async createVolume(input: CreateVolume): Promise<Volume> {
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    const unknown = Object.keys(parameters);
    if (unknown.length > 0) {
      throw new VdcError("INVALID_ARGUMENT", `simulated storage has no parameters: '${unknown.join("', '")}'`);
    }
    const origin = { operation: "createVolume", spec: { capacityBytes, owner, accessibleHosts } };
    const pool = this.#pool;
    const record =
      pool.repeated(name, origin) ?? pool.add({ name, owner, parameters, accessibleHosts }, { origin, capacityBytes });
    return pool.toVolume(record);
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }): Promise<void> {
    const record = this.#pool.volumes.get(volumeId);
    if (record === undefined || record.tombstoned) return;
    const { name } = record.facts;
    if (record.attachment !== undefined) {
      const { host } = record.attachment;
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached to host '${host}'`, {
        blockers: [{ kind: "Host", name: host }],
        details: { host },
      });
    }
    const snapshots = this.#pool.snapshotsOf(volumeId);
    if (snapshots.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has ${snapshots.length} snapshots`, {
        blockers: snapshots.map(({ snapshot }) => ({ kind: "Snapshot", name: snapshot.name })),
      });
    }
    const overlays = this.#pool.childrenOf(volumeId).filter(({ overlay }) => overlay);
    if (overlays.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' has overlays, which read its blocks`, {
        blockers: overlays.map(({ facts }) => ({ kind: "Volume", name: facts.name })),
      });
    }
    record.tombstoned = true;
    this.#pool.collect(volumeId);
  }

  async getVolume({ volumeId }: { readonly volumeId: string }): Promise<Volume> {
    return this.#pool.toVolume(this.#pool.volume(volumeId));
  }

  async listVolumes(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
  ): Promise<Page<Volume>> {
    const { ownerDatacenter, name } = input;
    const found = [...this.#pool.volumes.values()].filter(
      ({ facts, tombstoned }) =>
        !tombstoned &&
        (ownerDatacenter === undefined || facts.owner?.datacenter === ownerDatacenter) &&
        (name === undefined || facts.name === name),
    );
    const page = pageByKey(found, ({ facts }) => facts.name, input);
    return { ...page, items: page.items.map((record) => this.#pool.toVolume(record)) };
  }

  async capacity({ pool }: { readonly pool?: string }): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== this.#pool.name) throw new VdcError("NOT_FOUND", `there is no pool '${pool}'`);
    return this.#pool.capacity();
  }

  async attachVolume(input: AttachVolume, _context: OperationContext): Promise<Attachment> {
    const { volumeId, host, access, generation, mode = "served" } = input;
    const record = this.#pool.volume(volumeId);
    const { name, accessibleHosts } = record.facts;
    if (mode === "direct") {
      throw new VdcError(
        "UNIMPLEMENTED",
        "simulated storage has no file that a VM monitor could open: attach it served",
      );
    }
    const present = record.attachment;
    if (present?.generation === generation) {
      if (present.host === host && present.access === access) return present;
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${name}' is attached to host '${present.host}' (${present.access}) with generation ${generation}`,
        { blockers: [{ kind: "Host", name: present.host }] },
      );
    }
    const newest = Math.max(record.newest, record.revoked);
    if (generation <= newest) throw fencedError(`volume '${name}'`, generation, newest);
    if (accessibleHosts !== undefined && !accessibleHosts.includes(host)) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' can't be reached from host '${host}'`);
    }
    const readers = this.#pool.readers(volumeId);
    if (access === "readWrite" && readers.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is read-only: other volumes read its blocks`, {
        blockers: readers,
      });
    }
    const transport: VolumeTransport = {
      kind: "nbd-unix",
      path: `/simulated/${this.#world.name}/${host}/storage.sock`,
      exportName: `${this.#pool.name}/${volumeId}@${generation}`,
    };
    record.newest = generation;
    record.attachment = { volumeId, host, access, generation, transport, fencing: "enforced", loses: {} };
    return record.attachment;
  }

  async detachVolume(input: {
    readonly volumeId: string;
    readonly host: string;
    readonly generation: number;
  }): Promise<void> {
    const record = this.#pool.volumes.get(input.volumeId);
    const { attachment } = record ?? {};
    if (record === undefined || attachment?.generation !== input.generation || attachment.host !== input.host) return;
    record.attachment = undefined;
  }

  async revokeAttachment(input: { readonly volumeId: string; readonly generation: number }): Promise<void> {
    const record = this.#pool.volume(input.volumeId);
    record.revoked = Math.max(record.revoked, input.generation);
    if (record.attachment !== undefined && record.attachment.generation <= record.revoked)
      record.attachment = undefined;
  }

  async getAttachment({ volumeId }: { readonly volumeId: string }): Promise<{ readonly attachment?: Attachment }> {
    const { attachment } = this.#pool.volume(volumeId);
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: { readonly volumeId?: string }): Promise<VolumeHealth> {
    if (volumeId !== undefined) this.#pool.volume(volumeId);
    const alarms = this.#pool.capacity().alarms.filter(({ kind }) => kind !== "provisioned");
    if (alarms.length === 0) return { condition: "healthy", message: "simulated: in memory" };
    return {
      condition: "degraded",
      message: alarms.map(({ message }) => message).join("; "),
      reasons: alarms.map(({ kind, message }) => ({ code: kind === "outOfSpace" ? kind : "nearlyFull", message })),
    };
  }

  /** The data path behind a transport that this pool gave out; `undefined` for any other. */
  open(transport: VolumeTransport): SimulatedBlockDevice | undefined {
    if (transport.kind !== "nbd-unix") return undefined;
    const snapshot = openSnapshotExport(this.#pool, transport.exportName);
    if (snapshot !== undefined) return snapshot;
    const [, pool, volumeId, generation] = /^(.*)\/([^/@]+)@(\d+)$/.exec(transport.exportName) ?? [];
    if (pool !== this.#pool.name || volumeId === undefined) return undefined;
    return this.#device(volumeId, Number(generation));
  }

  #device(volumeId: string, generation: number): SimulatedBlockDevice {
    const pool = this.#pool;
    const owned = (): VolumeRecord => {
      const record = pool.volumes.get(volumeId);
      if (record?.attachment === undefined || record.attachment.generation !== generation) {
        throw fencedError(`volume '${volumeId}'`, generation, Math.max(record?.newest ?? 0, record?.revoked ?? 0));
      }
      return record;
    };
    const writable = (offset: number, length: number): VolumeRecord => {
      const record = owned();
      if (record.attachment?.access !== "readWrite" || pool.readers(volumeId).length > 0) {
        throw new VdcError("PERMISSION_DENIED", `volume '${volumeId}' is attached for reading only`);
      }
      mustLieWithin(record, offset, length);
      return record;
    };
    const first = owned();
    return {
      capacityBytes: first.capacityBytes,
      readOnly: first.attachment?.access !== "readWrite",
      async read(offset, length) {
        await owned().pace.wait(length, pool.world.clock);
        const record = owned();
        mustLieWithin(record, offset, length);
        return record.layer.read(offset, length);
      },
      async write(offset, bytes) {
        await owned().pace.wait(bytes.length, pool.world.clock);
        const record = writable(offset, bytes.length);
        pool.mustHaveRoom(bytes.length);
        markChanged(record, record.layer.write(offset, bytes));
      },
      async discard(offset, length) {
        const record = writable(offset, length);
        markChanged(record, record.layer.discard(offset, length));
      },
      async flush() {
        owned();
      },
      async close() {},
    };
  }
}

function mustLieWithin(record: VolumeRecord, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > record.capacityBytes) {
    throw new VdcError(
      "OUT_OF_RANGE",
      `${length} bytes at ${offset} are beyond the ${record.capacityBytes} bytes of volume '${record.facts.name}'`,
    );
  }
}

function markChanged(record: VolumeRecord, blocks: readonly number[]): void {
  for (const { dirty } of record.checkpoints.values()) for (const block of blocks) dirty.add(block);
}
