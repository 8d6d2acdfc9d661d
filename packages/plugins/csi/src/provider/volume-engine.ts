import { isVdcError, type Logger, type OperationContext, VdcError } from "@vdc-os/core";
import type { VolumeSource } from "@vdc-os/core/storage/v1";
import type { CsiStorageConfig } from "../config.ts";
import { type CsiDriver, isFinal, type MakeVolume } from "../driver/csi-driver.ts";
import type { CsiVolume, TextMap } from "../spec/volume-messages.ts";
import { BusyKeys } from "./busy-keys.ts";
import { type CsiCatalog, isThere, type Stored } from "./csi-catalog.ts";
import type { CsiPublisher } from "./csi-publisher.ts";
import { mustFit } from "./pool-space.ts";
import { assertSameRequest, type Backing, type VolumeRecord, type VolumeRequest } from "./records.ts";

/** Options of {@link VolumeEngine}. */
export interface VolumeEngineOptions {
  readonly config: CsiStorageConfig;
  readonly driver: CsiDriver;
  readonly publisher: CsiPublisher;
  readonly catalog: CsiCatalog;
  readonly logger: Logger;
}

/**
 * Makes and removes the driver's volumes. A record is written before the driver is called, so that a create whose answer never came is repeated under the same
 * name, or undone; the driver's names are never used twice.
 */
export class VolumeEngine {
  readonly config: CsiStorageConfig;
  readonly driver: CsiDriver;
  readonly publisher: CsiPublisher;
  readonly catalog: CsiCatalog;
  readonly busy: BusyKeys = new BusyKeys();
  readonly #logger: Logger;

  constructor(options: VolumeEngineOptions) {
    this.config = options.config;
    this.driver = options.driver;
    this.publisher = options.publisher;
    this.catalog = options.catalog;
    this.#logger = options.logger;
  }

  /** Creates a volume, or finds the one that an equal call has made. `capacityBytes` is what the driver is asked for. */
  async create(
    name: string,
    request: VolumeRequest,
    options: { readonly capacityBytes: number; readonly csiSource?: Backing["csiSource"] },
    context: OperationContext,
  ): Promise<VolumeRecord> {
    context.signal.throwIfAborted();
    this.#checkParameters(request.parameters);
    this.#checkHosts(request.accessibleHosts);
    return this.busy.alone(`volume name ${name}`, "create", async () => {
      const present = await this.catalog.volumes.findByName(name, context);
      if (present !== undefined) {
        const same = sameRequest(name, present.value.request, request);
        if (isThere(present.value)) {
          if (same !== true) throw same;
          return present.value;
        }
        if (same === true && present.value.deleting !== true) return (await this.#provision(present, context)).value;
        await this.remove(present, context);
      }
      await mustFit(this, options.capacityBytes, context);
      const stored = await this.catalog.volumes.add(
        {
          volumeId: context.random.uuid(),
          name,
          request,
          backing: { csiName: `vdc-${context.random.uuid()}`, volumeContext: {}, csiSource: options.csiSource },
          capacityBytes: options.capacityBytes,
          createdAt: context.clock.now(),
          highest: 0,
          leftovers: [],
          retired: [],
        },
        context,
      );
      return (await this.#provision(stored, context)).value;
    });
  }

  /** Removes a volume for good, whatever state it is in. The caller has made sure that it is attached nowhere. */
  async remove(stored: Stored<VolumeRecord>, context: OperationContext): Promise<void> {
    const { backing, retired } = stored.value;
    let marked = stored;
    if (stored.value.deleting !== true) {
      marked = await this.catalog.volumes.update(stored, { ...stored.value, deleting: true }, context);
    }
    try {
      if (backing.csiId === undefined)
        await this.driver.removeNamed(await this.#makeInput(marked.value, context), context);
      else await this.driver.removeVolume(backing.csiId, context);
      for (const csiId of retired) await this.driver.removeVolume(csiId, context);
    } catch (error) {
      // Only what the driver refuses is undone: with any other failure the volume may be gone already.
      if (isVdcError(error, "FAILED_PRECONDITION") && backing.csiId !== undefined) {
        await this.catalog.volumes.update(marked, { ...marked.value, deleting: false }, context);
      }
      throw error;
    }
    await this.catalog.volumes.remove(marked, context);
  }

  /** Deletes what a revert has replaced, as far as the driver lets it go: a volume may be kept by its snapshots. The rest goes with a later call. */
  async removeRetired(stored: Stored<VolumeRecord>, context: OperationContext): Promise<void> {
    const kept: string[] = [];
    for (const csiId of stored.value.retired) {
      await this.driver.removeVolume(csiId, context).catch(() => kept.push(csiId));
    }
    if (kept.length === stored.value.retired.length) return;
    await this.catalog.volumes.update(stored, { ...stored.value, retired: kept }, context);
  }

  /** Finishes deletes and undoes creates that a kill has cut short. What the driver refuses now stays for the next time. */
  async sweep(context: OperationContext): Promise<void> {
    for (const stored of await this.catalog.volumes.all(context)) {
      if (isThere(stored.value)) continue;
      try {
        await this.remove(stored, context);
      } catch (error) {
        const { volumeId, name } = stored.value;
        this.#logger.warn("an unfinished volume could not be removed yet", { volumeId, name, error: String(error) });
        // A driver that is away is not asked again for each volume: opening must not wait for it.
        if (isVdcError(error, "UNAVAILABLE") || isVdcError(error, "DEADLINE_EXCEEDED")) return;
      }
    }
  }

  /** Topologies of hosts, where the driver has such constraints. */
  async topologies(hosts: readonly string[] | undefined, context: OperationContext): Promise<readonly TextMap[]> {
    if (hosts === undefined || !(await this.driver.facts(context)).hasConstraints) return [];
    const found: TextMap[] = [];
    for (const host of hosts) {
      const { accessibleTopology } = await this.publisher.nodeInfo(host, context);
      if (accessibleTopology !== undefined) found.push(accessibleTopology.segments);
    }
    return found;
  }

  async #provision(stored: Stored<VolumeRecord>, context: OperationContext): Promise<Stored<VolumeRecord>> {
    const record = stored.value;
    let made: CsiVolume;
    try {
      made = await this.driver.makeVolume(await this.#makeInput(record, context), context);
    } catch (error) {
      if (isFinal(error)) await this.catalog.volumes.remove(stored, context);
      throw error;
    }
    const accessibleHosts = await this.#reachableFrom(made, record.request.accessibleHosts, context);
    const { volumeId: csiId, volumeContext } = made;
    return this.catalog.volumes.update(
      stored,
      {
        ...record,
        backing: { ...record.backing, csiId, volumeContext: { ...volumeContext } },
        capacityBytes: made.capacityBytes === 0 ? record.capacityBytes : made.capacityBytes,
        accessibleHosts,
      },
      context,
    );
  }

  /** The same for the same record, so that a repeat asks for the same volume. */
  async #makeInput({ backing, capacityBytes, request }: VolumeRecord, context: OperationContext): Promise<MakeVolume> {
    const { csiName, csiSource } = backing;
    return {
      csiName,
      capacityBytes,
      parameters: { ...this.config.parameters, ...request.parameters },
      source: toContentSource(csiSource),
      topologies: await this.topologies(request.accessibleHosts, context),
    };
  }

  async #reachableFrom(
    { accessibleTopology }: CsiVolume,
    asked: readonly string[] | undefined,
    context: OperationContext,
  ): Promise<readonly string[] | undefined> {
    if (accessibleTopology.length === 0) return asked;
    const hosts: string[] = [];
    for (const host of this.publisher.hosts) {
      const own = (await this.publisher.nodeInfo(host, context)).accessibleTopology?.segments;
      const matches = accessibleTopology.some(({ segments }) =>
        Object.entries(segments).every(([domain, segment]) => own?.[domain] === segment),
      );
      if (matches) hosts.push(host);
    }
    return hosts;
  }

  #checkParameters(parameters: TextMap): void {
    const allowed = this.config.allowedParameters ?? [];
    const unknown = Object.keys(parameters).find((name) => !allowed.includes(name));
    if (unknown === undefined) return;
    throw new VdcError("INVALID_ARGUMENT", `parameter '${unknown}' is not among 'allowedParameters' of this provider`);
  }

  #checkHosts(hosts: readonly string[] | undefined): void {
    const unknown = hosts?.find((host) => !this.publisher.hosts.includes(host));
    if (unknown === undefined) return;
    throw new VdcError("RESOURCE_EXHAUSTED", `volumes can't be had on host '${unknown}': it is no node of this driver`);
  }
}

/** The driver's source of a volume. */
export function toContentSource(source: Backing["csiSource"]): MakeVolume["source"] {
  if (source === undefined) return undefined;
  return source.kind === "volume" ? { volume: { volumeId: source.csiId } } : { snapshot: { snapshotId: source.csiId } };
}

/** What the driver has for a source, and its size. Throws `NOT_FOUND`. */
export async function resolveSource(
  catalog: CsiCatalog,
  source: VolumeSource,
  context: OperationContext,
): Promise<{ readonly csiSource: NonNullable<Backing["csiSource"]>; readonly capacityBytes: number }> {
  if (source.kind === "volume") {
    const { backing, capacityBytes } = (await catalog.volume(source.volumeId, context)).value;
    return { csiSource: { kind: "volume", csiId: backing.csiId as string }, capacityBytes };
  }
  const { csiId, capacityBytes } = (await catalog.snapshot(source.snapshotId, context)).value;
  return { csiSource: { kind: "snapshot", csiId: csiId as string }, capacityBytes };
}

function sameRequest(name: string, present: VolumeRequest, asked: VolumeRequest): true | unknown {
  try {
    assertSameRequest(name, present, asked);
    return true;
  } catch (error) {
    return error;
  }
}
