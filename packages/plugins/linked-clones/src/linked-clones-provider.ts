import { type DescribeInput, type Description, isVdcError, type OperationContext, type Page } from "@vdc-os/core";
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
import { toldToCaller } from "./callers-words.ts";
import type { CloneEngine } from "./clone-engine.ts";
import type { KnownVolume } from "./clone-services.ts";
import { Clones } from "./clones.ts";
import type { DepthPolicy } from "./depth-policy.ts";
import { describeClones } from "./describe-clones.ts";
import type { GroupSnapshots } from "./group-snapshots.ts";
import { LineageOfClones } from "./lineage.ts";
import { type PassedFacet, passedFacet } from "./passed-facet.ts";
import { Snapshots } from "./snapshots.ts";
import { importExportFacet, resizeFacet } from "./volume-facets.ts";
import { volumeView } from "./volume-view.ts";

/** The facets that this provider can have: two of its own, and what the one underneath has. */
type LinkedFacets = Required<
  Pick<StorageFacets, "clones" | "lineage" | "resize" | "importExport" | "snapshots" | "groupSnapshots" | PassedFacet>
>;

/** Options of {@link LinkedClonesProvider}. */
export interface LinkedClonesProviderOptions {
  readonly engine: CloneEngine;
  readonly depth: DepthPolicy;
  readonly groups: GroupSnapshots;
  readonly flattenAtDepth: number | undefined;
}

/**
 * The vStorage API on top of another provider of it: its volumes and snapshots under names of their own, with linked clones, lineage, and deletes that
 * never wait for children.
 */
export class LinkedClonesProvider implements StorageProvider {
  readonly facets: LinkedFacets;
  readonly #engine: CloneEngine;
  readonly #depth: DepthPolicy;
  readonly #flattenAtDepth: number | undefined;

  constructor({ engine, depth, groups, flattenAtDepth }: LinkedClonesProviderOptions) {
    this.#engine = engine;
    this.#depth = depth;
    this.#flattenAtDepth = flattenAtDepth;
    const { services } = engine;
    this.facets = {
      clones: new Clones(engine, depth),
      lineage: new LineageOfClones(engine),
      resize: resizeFacet(engine),
      importExport: importExportFacet(engine),
      snapshots: new Snapshots(engine),
      groupSnapshots: groups,
      discard: passedFacet(services, "discard"),
      qos: passedFacet(services, "qos"),
      encryption: passedFacet(services, "encryption"),
      changedBlocks: passedFacet(services, "changedBlocks"),
      epochs: passedFacet(services, "epochs"),
      migrate: passedFacet(services, "migrate"),
      replicate: passedFacet(services, "replicate"),
    };
  }

  /** Resolves when nothing is being flattened in the background. */
  settled(): Promise<void> {
    return this.#depth.settled();
  }

  /** Ends what is done in the background. What was begun is finished at the next start. */
  async close(): Promise<void> {
    await this.#engine.close();
    await this.#depth.settled();
  }

  async describe({ scope }: DescribeInput, context: OperationContext): Promise<Description> {
    const { handle } = this.#engine.services.base;
    return describeClones(handle.name, await handle.describe({ scope }, context), this.#flattenAtDepth);
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { base, operation } = this.#engine.services;
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    const made = await this.#engine.create(
      {
        name,
        request: { kind: "empty", capacityBytes, owner, parameters, accessibleHosts },
        make: async (baseName) => {
          // The stamp stays here: who sweeps the provider underneath by its stamp must not find these volumes.
          const { owner: _, ...unstamped } = input;
          const made = base.handle.createVolume({ ...unstamped, name: baseName }, operation());
          return { volume: await toldToCaller(made) };
        },
      },
      context,
    );
    return volumeView(made);
  }

  deleteVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<void> {
    return this.#engine.delete(volumeId, context);
  }

  async getVolume({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    return volumeView(await this.#known(volumeId, context));
  }

  async listVolumes(
    input: Parameters<StorageProvider["listVolumes"]>[0],
    context: OperationContext,
  ): Promise<Page<Volume>> {
    const { catalog } = this.#engine.services;
    const { limit = 500, pageToken, name, ownerDatacenter } = input;
    const page =
      name === undefined
        ? await catalog.page({ limit, pageToken }, context)
        : { values: [(await catalog.name(name, context))?.value] };
    const items: Volume[] = [];
    for (const found of page.values) {
      // Without an id it is being made.
      if (found?.volumeId === undefined) continue;
      if (ownerDatacenter !== undefined && found.request.owner?.datacenter !== ownerDatacenter) continue;
      try {
        items.push(volumeView(await this.#known(found.volumeId, context)));
      } catch (error) {
        // Deleted since the page was read.
        if (!isVdcError(error, "NOT_FOUND")) throw error;
      }
    }
    return "nextPageToken" in page && page.nextPageToken !== undefined
      ? { items, nextPageToken: page.nextPageToken }
      : { items };
  }

  capacity(input: { readonly pool?: string }, context: OperationContext): Promise<PoolCapacity> {
    return this.#engine.services.base.handle.capacity(input, context);
  }

  async attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    await this.#engine.services.catalog.get(input.volumeId, context);
    return toldToCaller(this.#engine.services.base.handle.attachVolume(input, context));
  }

  detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0], context: OperationContext): Promise<void> {
    return this.#engine.services.base.handle.detachVolume(input, context);
  }

  async revokeAttachment(
    input: Parameters<StorageProvider["revokeAttachment"]>[0],
    context: OperationContext,
  ): Promise<void> {
    await this.#engine.services.catalog.get(input.volumeId, context);
    return this.#engine.services.base.handle.revokeAttachment(input, context);
  }

  async getAttachment(
    input: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }> {
    await this.#engine.services.catalog.get(input.volumeId, context);
    return this.#engine.services.base.handle.getAttachment(input, context);
  }

  async health(input: { readonly volumeId?: string }, context: OperationContext): Promise<VolumeHealth> {
    if (input.volumeId !== undefined) await this.#engine.services.catalog.get(input.volumeId, context);
    return this.#engine.services.base.handle.health(input, context);
  }

  async #known(volumeId: string, context: OperationContext): Promise<KnownVolume> {
    return this.#engine.known((await this.#engine.services.catalog.get(volumeId, context)).value, context);
  }
}
