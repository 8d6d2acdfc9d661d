import { type OperationContext, VdcError } from "@vdc-os/core";
import type { Lineage, LineageFacet, LineageSnapshot, Volume } from "@vdc-os/core/storage/v1";
import { chainOf } from "./clone-chain.ts";
import type { CloneEngine } from "./clone-engine.ts";
import type { CloneRecord } from "./clone-record.ts";
import { volumeView } from "./volume-view.ts";

/** Ids of a volume's children: those that read the volume itself, and those of its snapshots. */
interface ChildLinks {
  readonly direct: readonly string[];
  readonly bySnapshot: ReadonlyMap<string, readonly string[]>;
}

const childless: ChildLinks = { direct: [], bySnapshot: new Map() };

/** Facet `lineage`: who shares blocks with whom. */
export class LineageOfClones implements LineageFacet {
  readonly #engine: CloneEngine;

  constructor(engine: CloneEngine) {
    this.#engine = engine;
  }

  async getLineage({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Lineage> {
    const record = await this.#record(volumeId, context);
    const chain = await chainOf(this.#engine.services.catalog, record, context);
    return this.#lineageOf(record, await this.#links(volumeId, context), chain.length, context);
  }

  async lineageTree(
    { volumeId }: { readonly volumeId?: string },
    context: OperationContext,
  ): Promise<readonly Lineage[]> {
    const { catalog } = this.#engine.services;
    if (volumeId === undefined) {
      const records = await catalog.volumes(context);
      const byId = new Map(records.map((record) => [record.volumeId, record]));
      const links = linksOf(records);
      const roots = records.filter(({ parentVolumeId }) => parentVolumeId === undefined || !byId.has(parentVolumeId));
      return this.#walk(
        roots,
        async (id) => links.get(id) ?? childless,
        async (id) => byId.get(id),
        context,
      );
    }
    const chain = await chainOf(catalog, await this.#record(volumeId, context), context);
    return this.#walk(
      chain.slice(-1),
      (id) => this.#links(id, context),
      async (id) => (await catalog.find(id, context))?.value,
      context,
    );
  }

  async flatten({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    return volumeView(await this.#engine.flatten(volumeId, context));
  }

  /** An overlay is independent of its parent only once it has a copy of its own: so this is {@link flatten}, and the facet's limits say so. */
  async promote(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    return this.flatten(input, context);
  }

  async #record(volumeId: string, context: OperationContext): Promise<CloneRecord> {
    const found = await this.#engine.services.catalog.find(volumeId, context);
    if (found !== undefined) return found.value;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  async #links(volumeId: string, context: OperationContext): Promise<ChildLinks> {
    const { catalog, snapshots } = this.#engine.services;
    const direct = await catalog.children({ volumeId }, context);
    const bySnapshot = new Map<string, readonly string[]>();
    for (const { snapshotId } of await snapshots.ofVolume(volumeId, context)) {
      const children = await catalog.children({ snapshotId }, context);
      if (children.length > 0) bySnapshot.set(snapshotId, children);
    }
    return { direct, bySnapshot };
  }

  /** Breadth first, so that parents come before children. */
  async #walk(
    roots: readonly CloneRecord[],
    linksTo: (volumeId: string) => Promise<ChildLinks>,
    find: (volumeId: string) => Promise<CloneRecord | undefined>,
    context: OperationContext,
  ): Promise<readonly Lineage[]> {
    const found: Lineage[] = [];
    let level = roots;
    for (let depth = 1; level.length > 0; depth++) {
      const next: CloneRecord[] = [];
      for (const record of level) {
        const lineage = await this.#lineageOf(record, await linksTo(record.volumeId), depth, context);
        found.push(lineage);
        for (const child of lineage.children) {
          const below = await find(child);
          if (below !== undefined) next.push(below);
        }
      }
      level = next;
    }
    return found;
  }

  async #lineageOf(
    record: CloneRecord,
    { direct, bySnapshot }: ChildLinks,
    depth: number,
    context: OperationContext,
  ): Promise<Lineage> {
    const { volumeId, name, parentVolumeId, parentSnapshotId, tombstoned = false } = record;
    const snapshots: LineageSnapshot[] = [];
    for (const [snapshotId, children] of bySnapshot) {
      const snapshot = (await this.#engine.services.snapshots.find(snapshotId, context))?.value;
      snapshots.push({ snapshotId, name: snapshot?.name ?? snapshotId, kept: snapshot?.kept ?? true, children });
    }
    return {
      volumeId,
      name,
      ...(parentVolumeId === undefined ? {} : { parentVolumeId }),
      ...(parentSnapshotId === undefined ? {} : { parentSnapshotId }),
      children: [...direct, ...snapshots.flatMap(({ children }) => children)],
      depth,
      tombstoned,
      ...(snapshots.length === 0 ? {} : { snapshots }),
    };
  }
}

function linksOf(records: readonly CloneRecord[]): ReadonlyMap<string, ChildLinks> {
  const links = new Map<string, { direct: string[]; bySnapshot: Map<string, string[]> }>();
  for (const { volumeId, parentVolumeId, parentSnapshotId } of records) {
    if (parentVolumeId === undefined) continue;
    const of = links.get(parentVolumeId) ?? { direct: [], bySnapshot: new Map<string, string[]>() };
    links.set(parentVolumeId, of);
    if (parentSnapshotId === undefined) of.direct.push(volumeId);
    else {
      const children = of.bySnapshot.get(parentSnapshotId);
      if (children === undefined) of.bySnapshot.set(parentSnapshotId, [volumeId]);
      else children.push(volumeId);
    }
  }
  return links;
}
