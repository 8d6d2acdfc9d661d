import { open, truncate } from "node:fs/promises";
import {
  type Description,
  type DescribeInput,
  type OperationContext,
  type Page,
  type PageRequest,
  pageByKey,
  VdcError,
} from "@vdc-os/core";
import type {
  Attachment,
  AttachVolume,
  CreateVolume,
  PoolCapacity,
  StorageFacets,
  StorageProvider,
  Volume,
  VolumeHealth,
} from "@vdc-os/core/storage/v1";
import { clonesFacet } from "./clones.ts";
import { describePool } from "./describe-pool.ts";
import { importExportFacet } from "./import-export.ts";
import { assertDetached, assertGoesOn } from "./preconditions.ts";
import type { VolumeRecord } from "./records.ts";
import type { ReflinkPool } from "./reflink-pool.ts";
import { snapshotsFacet } from "./snapshots.ts";

const lost: Readonly<Record<string, string>> = Object.fromEntries(
  ["fencing", "epochs", "changedBlocks", "qos"].map((name) => [
    name,
    "the VM monitor opens the file itself: nothing of this provider is on its data path",
  ]),
);

/** The vStorage API on raw files whose file system lets them share blocks. */
export class ReflinkStorageProvider implements StorageProvider {
  readonly facets: StorageFacets;
  readonly #pool: ReflinkPool;

  constructor(pool: ReflinkPool) {
    this.#pool = pool;
    this.facets = {
      resize: { resizeVolume: (input, context) => this.#resizeVolume(input, context) },
      importExport: importExportFacet(pool),
      snapshots: snapshotsFacet(pool),
      clones: clonesFacet(pool),
    };
  }

  async describe({ scope }: DescribeInput): Promise<Description> {
    return describePool(this.#pool, scope);
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    assertGoesOn(context);
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    const [parameter] = Object.keys(parameters);
    if (parameter !== undefined) throw new VdcError("INVALID_ARGUMENT", `there is no parameter '${parameter}'`);
    const unseen = accessibleHosts?.find((host) => this.#pool.accessibleHosts?.includes(host) === false);
    if (unseen !== undefined) {
      throw new VdcError("RESOURCE_EXHAUSTED", `host '${unseen}' does not see the pool '${this.#pool.name}'`, {
        reason: "VDC_HOST_NOT_ACCESSIBLE",
      });
    }
    const request = JSON.stringify(["create", capacityBytes, owner, accessibleHosts]);
    const made = await this.#pool.makeVolume(
      { name, capacityBytes, owner, accessibleHosts, request, sharedBytes: 0 },
      async (path) => {
        await using file = await open(path, "wx", 0o600);
        await file.truncate(capacityBytes);
      },
      context,
    );
    return this.#pool.view(made);
  }

  async deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
    assertGoesOn(context);
    const record = this.#pool.volumes.get(volumeId);
    if (record === undefined) return;
    await this.#pool.alone(volumeId, "delete", async () => {
      assertDetached(record);
      const snapshots = this.#pool.snapshotsOf(volumeId);
      if (snapshots.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' has ${snapshots.length} snapshots`, {
          blockers: snapshots.slice(0, 20).map(({ name }) => ({ kind: "snapshot", name })),
        });
      }
      await this.#pool.volumes.remove(volumeId);
    });
  }

  async getVolume({ volumeId }: { readonly volumeId: string }): Promise<Volume> {
    return this.#pool.view(this.#pool.volume(volumeId));
  }

  async listVolumes(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
  ): Promise<Page<Volume>> {
    const { ownerDatacenter, name } = input;
    const found = this.#pool.volumes
      .all()
      .filter((record) => name === undefined || record.name === name)
      .filter((record) => ownerDatacenter === undefined || record.owner?.datacenter === ownerDatacenter);
    const page = pageByKey(found, (record) => record.name, input);
    return { ...page, items: page.items.map((record) => this.#pool.view(record)) };
  }

  async capacity({ pool }: { readonly pool?: string }): Promise<PoolCapacity> {
    if (pool !== undefined && pool !== this.#pool.name) throw new VdcError("NOT_FOUND", `there is no pool '${pool}'`);
    return this.#pool.capacity();
  }

  async attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    assertGoesOn(context);
    const { volumeId, host, access, generation } = input;
    return this.#pool.alone(`attachment of '${volumeId}'`, "attach", async () => {
      const record = this.#pool.volume(volumeId);
      const { name, attached, highWater } = record;
      const repeats = attached !== undefined && generation === highWater;
      if (generation <= highWater && !repeats) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' has seen attachment generation ${highWater}: ${generation} is fenced`,
          { reason: "VDC_FENCED", details: { generation, highest: highWater } },
        );
      }
      if (repeats && (attached.host !== host || attached.access !== access)) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached otherwise, to host '${attached.host}'`,
          {
            reason: "VDC_ATTACHED_OTHERWISE",
            blockers: [{ kind: "host", name: attached.host }],
          },
        );
      }
      for (const hosts of [this.#pool.accessibleHosts, record.accessibleHosts]) {
        if (hosts === undefined || hosts.includes(host)) continue;
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' can't be attached on host '${host}'`, {
          reason: "VDC_HOST_NOT_ACCESSIBLE",
          details: { accessibleHosts: [...hosts] },
        });
      }
      const next = { ...record, highWater: generation, attached: { host, access } };
      await this.#pool.volumes.setWritable(volumeId, access === "readWrite");
      if (!repeats) await this.#pool.volumes.update(volumeId, next);
      return this.#attachmentOf(next);
    });
  }

  async detachVolume(
    input: { readonly volumeId: string; readonly host: string; readonly generation: number },
    context: OperationContext,
  ): Promise<void> {
    assertGoesOn(context);
    const { volumeId, host, generation } = input;
    if (this.#pool.volumes.get(volumeId) === undefined) return;
    await this.#pool.alone(`attachment of '${volumeId}'`, "detach", async () => {
      const record = this.#pool.volume(volumeId);
      if (record.attached?.host !== host || record.highWater !== generation) return;
      await this.#pool.volumes.setWritable(volumeId, true);
      await this.#pool.volumes.update(volumeId, { ...record, attached: undefined });
    });
  }

  async revokeAttachment(
    { volumeId, generation }: { readonly volumeId: string; readonly generation: number },
    context: OperationContext,
  ): Promise<void> {
    assertGoesOn(context);
    await this.#pool.alone(`attachment of '${volumeId}'`, "revoke", async () => {
      const record = this.#pool.volume(volumeId);
      if (record.highWater > generation) return;
      await this.#pool.volumes.setWritable(volumeId, true);
      await this.#pool.volumes.update(volumeId, { ...record, highWater: generation, attached: undefined });
    });
  }

  async getAttachment({ volumeId }: { readonly volumeId: string }): Promise<{ readonly attachment?: Attachment }> {
    const attachment = this.#attachmentOf(this.#pool.volume(volumeId));
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: { readonly volumeId?: string }): Promise<VolumeHealth> {
    if (volumeId !== undefined) {
      const { name } = this.#pool.volume(volumeId);
      if (this.#pool.volumes.hasDisk(volumeId)) return { condition: "healthy", message: "" };
      return { condition: "abnormal", message: `the file of volume '${name}' is gone` };
    }
    const { alarms } = await this.#pool.capacity();
    if (alarms.length === 0) return { condition: "healthy", message: "" };
    return { condition: "degraded", message: alarms.map(({ message }) => message).join("; ") };
  }

  #attachmentOf(record: VolumeRecord & { readonly attached: NonNullable<VolumeRecord["attached"]> }): Attachment;
  #attachmentOf(record: VolumeRecord): Attachment | undefined;
  #attachmentOf(record: VolumeRecord): Attachment | undefined {
    const { volumeId, attached, highWater } = record;
    if (attached === undefined) return undefined;
    const transport = { kind: "file", path: this.#pool.volumes.disk(volumeId), format: "raw" } as const;
    return { volumeId, ...attached, generation: highWater, transport, fencing: "none", loses: lost };
  }

  async #resizeVolume(
    input: { readonly volumeId: string; readonly capacityBytes: number; readonly allowShrink?: boolean },
    context: OperationContext,
  ): Promise<Volume> {
    assertGoesOn(context);
    const { volumeId, capacityBytes, allowShrink = false } = input;
    return this.#pool.alone(volumeId, "resize", async () => {
      const record = this.#pool.volume(volumeId);
      if (capacityBytes === record.capacityBytes) return this.#pool.view(record);
      if (capacityBytes < 1) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
      // A file that is attached to be read can't be made longer without letting it be written.
      if (record.attached?.access === "readOnly") assertDetached(record);
      if (capacityBytes < record.capacityBytes) {
        if (!allowShrink) {
          throw new VdcError(
            "OUT_OF_RANGE",
            `volume '${record.name}' has ${record.capacityBytes} bytes: ${capacityBytes} would lose some, which 'allowShrink' allows`,
          );
        }
        assertDetached(record);
      }
      const disk = this.#pool.volumes.disk(volumeId);
      return this.#pool.view(await this.#pool.resizeVolume(record, () => truncate(disk, capacityBytes), capacityBytes));
    });
  }
}
