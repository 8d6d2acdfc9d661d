import {
  type Description,
  type DescribeInput,
  isVdcError,
  type OperationContext,
  type Page,
  VdcError,
} from "@vdc-os/core";
import type {
  Attachment,
  AttachVolume,
  CloneResult,
  CloneVolume,
  CreateVolume,
  PoolCapacity,
  StorageFacets,
  StorageProvider,
  Volume,
  VolumeHealth,
} from "@vdc-os/core/storage/v1";
import { capability } from "../driver/csi-driver.ts";
import { controller } from "../spec/controller-service.ts";
import { Attachments } from "./attachments.ts";
import { isThere } from "./csi-catalog.ts";
import { describeDriver } from "./describe-driver.ts";
import type { VolumeRecord } from "./records.ts";
import { snapshotsFacet } from "./snapshots.ts";
import { mustFit, spaceOf } from "./pool-space.ts";
import { resolveSource, type VolumeEngine } from "./volume-engine.ts";

type Input<Name extends keyof StorageProvider> = StorageProvider[Name] extends (
  input: infer I,
  context: never,
) => unknown
  ? I
  : never;

/**
 * A CSI driver as a storage provider. Names, owners, generations and attachments are kept in the state store, because CSI has no field for them; volumes and
 * snapshots are the driver's.
 */
export class CsiStorageProvider implements StorageProvider {
  readonly facets: StorageFacets;
  readonly #engine: VolumeEngine;
  readonly #attachments: Attachments;

  constructor(engine: VolumeEngine) {
    this.#engine = engine;
    this.#attachments = new Attachments(engine);
    this.facets = {
      resize: { resizeVolume: (input, context) => this.#resize(input, context) },
      snapshots: snapshotsFacet(engine),
      clones: { cloneVolume: (input, context) => this.#clone(input, context) },
    };
  }

  async describe({ scope }: DescribeInput, context: OperationContext): Promise<Description> {
    const { driver, config } = this.#engine;
    const facts = await driver.facts(context).catch((error: unknown) => {
      // What it said before it went is still what it can.
      return driver.connection.lastFacts ?? `the driver was not reached yet: ${(error as Error).message}`;
    });
    const fencing = typeof facts === "string" ? (config.fencing ?? "none") : await this.#attachments.fencing(context);
    return describeDriver(config, facts, { scope, fencing });
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    const request = { capacityBytes, owner, parameters, accessibleHosts };
    return toVolume(await this.#engine.create(name, request, { capacityBytes }, context));
  }

  async deleteVolume({ volumeId }: Input<"deleteVolume">, context: OperationContext): Promise<void> {
    await this.#engine.busy.alone(`volume ${volumeId}`, "delete", async () => {
      const stored = await this.#engine.catalog.volumes.find(volumeId, context);
      if (stored === undefined) return;
      const { name, owner } = stored.value;
      if (owner !== undefined) {
        const { host } = owner.publication;
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached to host '${host}': detach it first`, {
          blockers: [{ kind: "Host", name: host }],
          details: { host },
        });
      }
      try {
        await this.#engine.remove(stored, context);
      } catch (error) {
        throw isVdcError(error, "FAILED_PRECONDITION") ? await this.#keptBySnapshots(error, volumeId, context) : error;
      }
    });
  }

  async getVolume({ volumeId }: Input<"getVolume">, context: OperationContext): Promise<Volume> {
    return toVolume((await this.#engine.catalog.volume(volumeId, context)).value);
  }

  async listVolumes(input: Input<"listVolumes">, context: OperationContext): Promise<Page<Volume>> {
    const { limit = 100, pageToken, ownerDatacenter, name } = input;
    const { volumes } = this.#engine.catalog;
    const matches = (record: VolumeRecord): boolean =>
      isThere(record) &&
      (ownerDatacenter === undefined || record.request.owner?.datacenter === ownerDatacenter) &&
      (name === undefined || record.name === name);
    if (name !== undefined) {
      const found = await volumes.findByName(name, context);
      return { items: found !== undefined && matches(found.value) ? [toVolume(found.value)] : [] };
    }
    const { records, nextPageToken } = await volumes.page({ limit, pageToken }, context);
    const items = records.filter(matches).map(toVolume);
    return nextPageToken === undefined ? { items } : { items, nextPageToken };
  }

  async capacity({ pool }: Input<"capacity">, context: OperationContext): Promise<PoolCapacity> {
    const { config } = this.#engine;
    if (pool !== undefined && pool !== config.name) throw new VdcError("NOT_FOUND", `there is no pool '${pool}' here`);
    const { freeBytes, provisionedBytes } = await spaceOf(this.#engine, context);
    return {
      totalBytes: freeBytes + provisionedBytes,
      freeBytes,
      allocatedBytes: provisionedBytes,
      provisionedBytes,
      reservedBytes: 0,
      maxOverSubscription: 1,
      alarms: [],
    };
  }

  attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    return this.#attachments.attach(input, context);
  }

  detachVolume(input: Input<"detachVolume">, context: OperationContext): Promise<void> {
    return this.#attachments.detach(input, context);
  }

  revokeAttachment(input: Input<"revokeAttachment">, context: OperationContext): Promise<void> {
    return this.#attachments.revoke(input, context);
  }

  async getAttachment(
    { volumeId }: Input<"getAttachment">,
    context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }> {
    const attachment = await this.#attachments.get(volumeId, context);
    return attachment === undefined ? {} : { attachment };
  }

  async health({ volumeId }: Input<"health">, context: OperationContext): Promise<VolumeHealth> {
    const { driver, catalog, config } = this.#engine;
    const record = volumeId === undefined ? undefined : (await catalog.volume(volumeId, context)).value;
    try {
      await driver.connection.probe(context);
      if (record !== undefined) {
        const csiId = record.backing.csiId as string;
        if (config.alpha === true && (await driver.can("getVolume", context))) {
          const { status } = await driver.connection.call(controller.getVolume, { volumeId: csiId }, context);
          const { abnormal = false, message = "" } = status?.volumeCondition ?? {};
          if (abnormal) return { condition: "abnormal", message };
        } else {
          const { volumeContext } = record.backing;
          const volumeCapabilities = [capability(false)];
          const secrets = await driver.secrets(context);
          const request = { volumeId: csiId, volumeContext, volumeCapabilities, secrets };
          await driver.connection.call(controller.validateVolumeCapabilities, request, context);
        }
      }
      return { condition: "healthy", message: "the CSI driver says that it is ready" };
    } catch (error) {
      context.signal.throwIfAborted();
      const condition = isVdcError(error, "NOT_FOUND") ? "abnormal" : "degraded";
      return { condition, message: (error as Error).message };
    }
  }

  async #resize(
    input: { readonly volumeId: string; readonly capacityBytes: number },
    context: OperationContext,
  ): Promise<Volume> {
    const { driver, catalog, busy, publisher } = this.#engine;
    await driver.must("expandVolume", context);
    return busy.alone(`volume ${input.volumeId}`, "resize", async () => {
      const stored = await catalog.volume(input.volumeId, context);
      const { name, capacityBytes, owner, backing } = stored.value;
      if (input.capacityBytes < capacityBytes) {
        throw new VdcError("OUT_OF_RANGE", `volume '${name}' has ${capacityBytes} bytes, and CSI makes none smaller`);
      }
      if (input.capacityBytes === capacityBytes) return toVolume(stored.value);
      if (owner !== undefined && !(await driver.facts(context)).expandsOnline) {
        const { host } = owner.publication;
        throw new VdcError(
          "FAILED_PRECONDITION",
          `volume '${name}' is attached to host '${host}', and the driver resizes detached ones alone`,
          {
            blockers: [{ kind: "Host", name: host }],
          },
        );
      }
      await mustFit(this.#engine, input.capacityBytes - capacityBytes, context);
      const grown = await driver.grow(
        { csiVolumeId: backing.csiId as string, capacityBytes: input.capacityBytes },
        context,
      );
      const published = owner?.publication.transport === undefined ? undefined : owner.publication;
      if (grown.nodeExpansionRequired && published !== undefined) {
        await publisher.expand(published, grown.capacityBytes, context);
      }
      const nodeExpansion = grown.nodeExpansionRequired && published === undefined ? true : undefined;
      const next = { ...stored.value, capacityBytes: grown.capacityBytes, nodeExpansion };
      return toVolume((await catalog.volumes.update(stored, next, context)).value);
    });
  }

  async #clone(input: CloneVolume, context: OperationContext): Promise<CloneResult> {
    const { driver, catalog } = this.#engine;
    const { name, source, want, capacityBytes, owner } = input;
    if (want === "linked") {
      throw new VdcError("UNIMPLEMENTED", "CSI does not say whether a clone shares blocks: ask for 'full' or 'any'");
    }
    await driver.must(source.kind === "volume" ? "cloneVolume" : "createDeleteSnapshot", context);
    const from = await resolveSource(catalog, source, context);
    const size = capacityBytes ?? from.capacityBytes;
    if (size < from.capacityBytes) {
      throw new VdcError("OUT_OF_RANGE", `a clone can't be smaller than the ${from.capacityBytes} bytes of its source`);
    }
    const request = { capacityBytes, owner, parameters: {}, source };
    const options = { capacityBytes: size, csiSource: from.csiSource };
    const volume = toVolume(await this.#engine.create(name, request, options, context));
    return { volume, kind: "full", sharedBytes: 0, depth: 1 };
  }

  /** Says by which snapshots a volume is kept, if by any. */
  async #keptBySnapshots(error: VdcError, volumeId: string, context: OperationContext): Promise<VdcError> {
    const kept = (await this.#engine.catalog.snapshots.all(context)).filter(({ value }) => value.volumeId === volumeId);
    return new VdcError("FAILED_PRECONDITION", error.message, {
      cause: error,
      blockers: kept.map(({ value }) => ({ kind: "Snapshot", name: value.name })),
    });
  }
}

/** A volume as the contract has it. CSI does not say what it takes: its whole size, at most. */
function toVolume(record: VolumeRecord): Volume {
  const { volumeId, name, capacityBytes, createdAt, request, accessibleHosts } = record;
  return {
    volumeId,
    name,
    capacityBytes,
    allocatedBytes: capacityBytes,
    exclusiveBytes: capacityBytes,
    createdAt,
    parameters: request.parameters,
    ...(request.owner === undefined ? {} : { owner: request.owner }),
    ...(request.source === undefined ? {} : { parent: request.source }),
    ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
  };
}
