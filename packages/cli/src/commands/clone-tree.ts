import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isVdcError, VdcError } from "@vdc-os/core";
import type { Handle } from "@vdc-os/core";
import type { StorageProvider, Volume } from "@vdc-os/core/storage/v1";
import type { Datacenter } from "@vdc-os/sdk";
import { currentVolumes, facetOf, presentVolume, storageNames, storageOf } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import type { CloneTreeNode } from "../render/clone-tree-layout.ts";
import { cloneTreeSvg } from "../render/clone-tree-svg.ts";
import { cloneTreeText } from "../render/clone-tree-text.ts";
import { type AddCommands, examples } from "./command-context.ts";

/** `vdc storage tree`. */
export const addTreeCommand: AddCommands = (parent, bind) => {
  parent
    .command("tree")
    .description("volumes and their clones, with depth and sizes")
    .argument("[volume]", "the family of this volume alone")
    .option("--svg <file>", "write a picture as SVG")
    .addHelpText(
      "after",
      examples([
        ["vdc storage tree", "all volumes that know of their clones"],
        ["vdc storage tree golden --svg golden.svg", "one family, as a picture too"],
      ]),
    )
    .action(
      bind<{ svg?: string }>((context, { svg }, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal, cwd } = context;
          const volume = typeof args[0] === "string" ? args[0] : undefined;
          const nodes = volume === undefined ? await allTrees(dc, signal) : await familyOf(dc, volume, signal);
          const title = volume === undefined ? "Clones" : `Family of ${volume}`;
          if (svg !== undefined) await writeFile(resolve(cwd, svg), cloneTreeSvg(nodes, { title }));
          terminal.result({ volumes: nodes }, () => {
            if (nodes.length === 0) return "There are no volumes.";
            const written = svg === undefined ? "" : `\n\nThe picture is in '${svg}'.`;
            return cloneTreeText(nodes, terminal.style) + written;
          });
        }),
      ),
    );
};

async function allTrees(dc: Datacenter, signal: AbortSignal): Promise<readonly CloneTreeNode[]> {
  const nodes: CloneTreeNode[] = [];
  const without: string[] = [];
  for (const name of storageNames(dc)) {
    const storage = storageOf(dc, name);
    const lineage = await storage.facet("lineage", { signal });
    if (!lineage.available) without.push(`'${name}': ${lineage.reason}`);
    else nodes.push(...(await withSizes(dc, storage, await lineage.operations.lineageTree({}, { signal }), signal)));
  }
  if (nodes.length === 0 && without.length === storageNames(dc).length) {
    throw new VdcError("UNIMPLEMENTED", `no storage keeps a tree of clones (${without.join("; ")})`);
  }
  return nodes;
}

async function familyOf(dc: Datacenter, volume: string, signal: AbortSignal): Promise<readonly CloneTreeNode[]> {
  const { storage, volumeId } = await presentVolume(dc, volume, signal);
  const lineage = await facetOf(storage, "lineage", signal);
  return withSizes(dc, storage, await lineage.lineageTree({ volumeId }, { signal }), signal);
}

/** Adds the datacenter's names and the sizes. What was removed is not listed any more; the provider underneath may still know its size. */
async function withSizes(
  dc: Datacenter,
  storage: Handle<StorageProvider>,
  lineages: readonly CloneTreeNode[],
  signal: AbortSignal,
): Promise<readonly CloneTreeNode[]> {
  const current = await currentVolumes(dc, signal);
  const objects = await dc.volumes.list({ signal });
  const names = new Map(
    objects
      .filter(({ status }) => status.storage === storage.name)
      .map(({ status, metadata }) => [status.volumeId, metadata.name]),
  );
  const { attributes } = await storage.describe({ scope: {} }, { signal });
  const base = typeof attributes.base === "string" ? attributes.base : undefined;
  const sizeOf = async (volumeId: string): Promise<Volume | undefined> => {
    const found = current.get(`${storage.name}/${volumeId}`);
    if (found !== undefined || base === undefined || !storageNames(dc).includes(base)) return found;
    try {
      return await storageOf(dc, base).getVolume({ volumeId }, { signal });
    } catch (error) {
      if (isVdcError(error) && !signal.aborted) return undefined;
      throw error;
    }
  };
  const nodes: CloneTreeNode[] = [];
  for (const lineage of lineages) {
    const label = names.get(lineage.volumeId) ?? (lineage.tombstoned ? formerName(lineage.name) : undefined);
    const size = await sizeOf(lineage.volumeId);
    const { capacityBytes, allocatedBytes } = size ?? {};
    nodes.push({
      ...lineage,
      ...(label === undefined ? {} : { label }),
      ...(capacityBytes === undefined ? {} : { capacityBytes }),
      ...(allocatedBytes === undefined ? {} : { allocatedBytes }),
    });
  }
  return nodes;
}

/** The name that a volume had here: the provider has it with a part of the object's uid, and the object is gone. */
function formerName(name: string): string {
  return name.replace(/-[0-9a-f]{12}$/, "");
}
