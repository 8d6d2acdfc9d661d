import {
  type DescribeInput,
  type Description,
  type FacetAvailability,
  isVdcError,
  type OperationContext,
  type Page,
} from "@vdc-os/core";
import type {
  Attachment,
  AttachVolume,
  CreateVolume,
  ImportExportFacet,
  PoolCapacity,
  ResizeFacet,
  StorageFacets,
  StorageProvider,
  Volume,
  VolumeHealth,
} from "@vdc-os/core/storage/v1";
import type { CloneEngine, KnownVolume } from "./clone-engine.ts";
import { Clones } from "./clones.ts";
import { LineageOfClones } from "./lineage.ts";
import { type PassedFacet, passedFacet } from "./passed-facet.ts";
import { volumeView } from "./volume-view.ts";

/** The package's version. */
export const packageVersion = "0.1.0";

const passed: readonly PassedFacet[] = ["discard", "qos", "encryption", "changedBlocks", "epochs"];

/** The facets that this provider can have: two of its own, and what the one underneath has. */
type LinkedFacets = Required<Pick<StorageFacets, "clones" | "lineage" | "resize" | "importExport" | PassedFacet>>;

/**
 * The vStorage API on top of another provider of it: its volumes under names of their own, with linked clones, lineage, and deletes that
 * never wait for children.
 */
export class LinkedClonesProvider implements StorageProvider {
  readonly facets: LinkedFacets;
  readonly #engine: CloneEngine;

  constructor(engine: CloneEngine) {
    this.#engine = engine;
    this.facets = {
      clones: new Clones(engine),
      lineage: new LineageOfClones(engine),
      resize: this.#resize(),
      importExport: this.#importExport(),
      discard: passedFacet(engine, "discard"),
      qos: passedFacet(engine, "qos"),
      encryption: passedFacet(engine, "encryption"),
      changedBlocks: passedFacet(engine, "changedBlocks"),
      epochs: passedFacet(engine, "epochs"),
    };
  }

  async describe({ scope }: DescribeInput, context: OperationContext): Promise<Description> {
    const { handle } = this.#engine.base;
    const base = await handle.describe({ scope }, context);
    const missing = (name: string): FacetAvailability => ({
      status: "unavailable",
      reason: `provider '${handle.name}' underneath does not list facet '${name}'`,
    });
    const layering = base.facets.layering ?? missing("layering");
    const evidence = `overlays of provider '${handle.name}' (${base.implementation.name} ${base.implementation.version})`;
    const own = (limits: Extract<FacetAvailability, { status: "available" }>["limits"]): FacetAvailability =>
      layering.status === "available"
        ? { status: "available", limits, evidence }
        : {
            status: "unavailable",
            reason: `provider '${handle.name}' underneath has no facet 'layering': ${layering.reason}`,
          };
    const maxDepth = (layering.status === "available" ? layering.limits.maxDepth : undefined) ?? 0;
    const facets: Record<string, FacetAvailability> = {
      clones: own({ kinds: ["linked", "full"], maxDepth, maxChildren: 0 }),
      lineage: own({}),
      layering: { status: "unavailable", reason: "clones are made with facet 'clones', which keeps count of them" },
    };
    for (const name of ["resize", "importExport", ...passed]) facets[name] = base.facets[name] ?? missing(name);
    for (const name of ["snapshots", "groupSnapshots", "replicate", "migrate"]) {
      facets[name] = { status: "unavailable", reason: "it is not passed on from the provider underneath" };
    }
    return {
      implementation: {
        name: "@vdc-os/plugin-linked-clones",
        version: packageVersion,
        simulated: base.implementation.simulated,
      },
      facets,
      attributes: { ...base.attributes, base: handle.name },
    };
  }

  async createVolume(input: CreateVolume, context: OperationContext): Promise<Volume> {
    const { name, capacityBytes, owner, parameters = {}, accessibleHosts } = input;
    const made = await this.#engine.create(
      {
        name,
        request: { kind: "empty", capacityBytes, owner, parameters, accessibleHosts },
        make: (baseName) => {
          // The stamp stays here: who sweeps the provider underneath by its stamp must not find these volumes.
          const { owner: _, ...unstamped } = input;
          return this.#engine.base.handle.createVolume({ ...unstamped, name: baseName }, this.#engine.steadily());
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
    const { catalog } = this.#engine;
    const { limit = 500, pageToken, name, ownerDatacenter } = input;
    const page =
      name === undefined
        ? await catalog.page({ limit, pageToken }, context)
        : { names: [(await catalog.name(name, context))?.value] };
    const items: Volume[] = [];
    for (const found of page.names) {
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
    return this.#engine.base.handle.capacity(input, context);
  }

  async attachVolume(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    await this.#engine.catalog.get(input.volumeId, context);
    return this.#engine.base.handle.attachVolume(input, context);
  }

  detachVolume(input: Parameters<StorageProvider["detachVolume"]>[0], context: OperationContext): Promise<void> {
    return this.#engine.base.handle.detachVolume(input, context);
  }

  async revokeAttachment(
    input: Parameters<StorageProvider["revokeAttachment"]>[0],
    context: OperationContext,
  ): Promise<void> {
    await this.#engine.catalog.get(input.volumeId, context);
    return this.#engine.base.handle.revokeAttachment(input, context);
  }

  async getAttachment(
    input: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<{ readonly attachment?: Attachment }> {
    await this.#engine.catalog.get(input.volumeId, context);
    return this.#engine.base.handle.getAttachment(input, context);
  }

  async health(input: { readonly volumeId?: string }, context: OperationContext): Promise<VolumeHealth> {
    if (input.volumeId !== undefined) await this.#engine.catalog.get(input.volumeId, context);
    return this.#engine.base.handle.health(input, context);
  }

  async #known(volumeId: string, context: OperationContext): Promise<KnownVolume> {
    return this.#engine.known((await this.#engine.catalog.get(volumeId, context)).value, context);
  }

  #resize(): ResizeFacet {
    const engine = this.#engine;
    return {
      resizeVolume: async (input, context) => {
        const { value } = await engine.catalog.get(input.volumeId, context);
        const resize = await engine.base.facet("resize", context);
        const volume = await engine.locks.alone(input.volumeId, "resize", () => resize.resizeVolume(input, context));
        return volumeView({ record: value, volume });
      },
    };
  }

  #importExport(): ImportExportFacet {
    const engine = this.#engine;
    return {
      importVolume: async (input, context) => {
        const { name, source, capacityBytes, owner } = input;
        const transfer = await engine.base.facet("importExport", context);
        const made = await engine.create(
          {
            name,
            request: { kind: "import", imagePath: source.path, imageFormat: source.format, capacityBytes, owner },
            make: (baseName) => {
              const { owner: _, ...unstamped } = input;
              return transfer.importVolume({ ...unstamped, name: baseName }, context);
            },
          },
          context,
        );
        return volumeView(made);
      },
      exportVolume: async (input, context) => {
        await engine.catalog.get(input.volumeId, context);
        return (await engine.base.facet("importExport", context)).exportVolume(input, context);
      },
    };
  }
}
