import { type OperationContext, VdcError } from "@vdc-os/core";
import type { Lineage, LineageFacet, Volume } from "@vdc-os/core/storage/v1";
import type { CloneCatalog } from "./clone-catalog.ts";
import type { CloneEngine } from "./clone-engine.ts";
import type { CloneRecord } from "./clone-record.ts";
import { volumeView } from "./volume-view.ts";

/** Facet `lineage`: who shares blocks with whom. */
export class LineageOfClones implements LineageFacet {
  readonly #engine: CloneEngine;

  constructor(engine: CloneEngine) {
    this.#engine = engine;
  }

  async getLineage({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Lineage> {
    const { catalog } = this.#engine;
    const chain = await chainOf(catalog, await recordOf(catalog, volumeId, context), context);
    return lineageOf(chain[0] as CloneRecord, await catalog.children(volumeId, context), chain.length);
  }

  async lineageTree(
    { volumeId }: { readonly volumeId?: string },
    context: OperationContext,
  ): Promise<readonly Lineage[]> {
    const { catalog } = this.#engine;
    if (volumeId === undefined) {
      const records = await catalog.volumes(context);
      const byId = new Map(records.map((record) => [record.volumeId, record]));
      const links = await catalog.links(context);
      const childrenOf = async (id: string): Promise<readonly string[]> => links.get(id) ?? [];
      const roots = records.filter(({ parentVolumeId }) => parentVolumeId === undefined || !byId.has(parentVolumeId));
      return walk(roots, childrenOf, async (id) => byId.get(id));
    }
    const chain = await chainOf(catalog, await recordOf(catalog, volumeId, context), context);
    return walk(
      [chain.at(-1) as CloneRecord],
      (id) => catalog.children(id, context),
      async (id) => (await catalog.find(id, context))?.value,
    );
  }

  async flatten({ volumeId }: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    return volumeView(await this.#engine.flatten(volumeId, context));
  }

  /** An overlay is independent of its parent only once it has a copy of its own: so this is {@link flatten}. */
  async promote(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume> {
    return this.flatten(input, context);
  }
}

/** A volume, its parent, and so on up to the one that stands alone. */
export async function chainOf(
  catalog: CloneCatalog,
  record: CloneRecord,
  context: OperationContext,
): Promise<readonly CloneRecord[]> {
  const chain = [record];
  for (let at = record.parentVolumeId; at !== undefined; ) {
    const parent = (await catalog.find(at, context))?.value;
    if (parent === undefined) break;
    chain.push(parent);
    at = parent.parentVolumeId;
  }
  return chain;
}

async function recordOf(catalog: CloneCatalog, volumeId: string, context: OperationContext): Promise<CloneRecord> {
  const found = await catalog.find(volumeId, context);
  if (found !== undefined) return found.value;
  throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`, { reason: "VDC_NO_SUCH_VOLUME" });
}

/** Breadth first, so that parents come before children. */
async function walk(
  roots: readonly CloneRecord[],
  childrenOf: (volumeId: string) => Promise<readonly string[]>,
  find: (volumeId: string) => Promise<CloneRecord | undefined>,
): Promise<readonly Lineage[]> {
  const found: Lineage[] = [];
  let level = roots;
  for (let depth = 1; level.length > 0; depth++) {
    const next: CloneRecord[] = [];
    for (const record of level) {
      const children = await childrenOf(record.volumeId);
      found.push(lineageOf(record, children, depth));
      for (const child of children) {
        const below = await find(child);
        if (below !== undefined) next.push(below);
      }
    }
    level = next;
  }
  return found;
}

function lineageOf(record: CloneRecord, children: readonly string[], depth: number): Lineage {
  const { volumeId, name, parentVolumeId, tombstoned = false } = record;
  const parent = parentVolumeId === undefined ? {} : { parentVolumeId };
  return { volumeId, name, ...parent, children, depth, tombstoned };
}
