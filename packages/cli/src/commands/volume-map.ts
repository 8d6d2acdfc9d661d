import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Extent } from "@vdc-os/core/storage/v1";
import { facetOf, presentVolume } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { allocationMapSvg } from "../render/allocation-map-svg.ts";
import { allocationMapText } from "../render/allocation-map-text.ts";
import { sumExtents } from "../render/allocation-cells.ts";
import { type AddCommands, type CommandContext, examples, textArgument } from "./command-context.ts";

/** What is mapped. */
export interface MappedDisk {
  readonly name: string;
  readonly capacityBytes: number;
  readonly extents: readonly Extent[];
}

/** `vdc storage volume map`. */
export const addVolumeMapCommand: AddCommands = (parent, bind) => {
  parent
    .command("map")
    .description("where a volume holds data: a picture")
    .argument("<name>", "the volume")
    .option("--svg <file>", "write the picture as SVG")
    .addHelpText(
      "after",
      examples([
        ["vdc storage volume map disk", "in the terminal"],
        ["vdc storage volume map disk --svg disk.svg", "as a file"],
      ]),
    )
    .action(
      bind<{ svg?: string }>((context, { svg }, args) =>
        withDatacenter(context, async (dc) => {
          const { signal } = context;
          const name = textArgument(args, 0);
          const { storage, volumeId } = await presentVolume(dc, name, signal);
          const { capacityBytes } = await storage.getVolume({ volumeId }, { signal });
          const changedBlocks = await facetOf(storage, "changedBlocks", signal);
          const extents: Extent[] = [];
          for await (const extent of changedBlocks.allocatedExtents({ volumeId }, { signal })) extents.push(extent);
          await showMap(context, { name, capacityBytes, extents }, svg);
        }),
      ),
    );
};

/** Shows a disk's map in the terminal, as JSON, and as a file where one is named. */
export async function showMap(context: CommandContext, disk: MappedDisk, svg: string | undefined): Promise<void> {
  const { terminal, cwd } = context;
  const { name, capacityBytes, extents } = disk;
  if (svg !== undefined) await writeFile(resolve(cwd, svg), allocationMapSvg(extents, capacityBytes, { name }));
  const { dataBytes, zeroBytes } = sumExtents(extents, capacityBytes);
  terminal.result({ map: { name, capacityBytes, dataBytes, zeroBytes, extents } }, () => {
    const written = svg === undefined ? "" : `\n\nThe picture is in '${svg}'.`;
    return allocationMapText({ ...disk, columns: terminal.columns, style: terminal.style }) + written;
  });
}
