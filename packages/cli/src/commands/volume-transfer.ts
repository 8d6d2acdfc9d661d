import { resolve } from "node:path";
import { finishTask } from "../datacenter/finish-task.ts";
import { chosenStorage, facetOf, presentVolume } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { recogniseFormat } from "../disk/recognise-format.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { sizeOption } from "./volumes.ts";
import { sizeText, volumeView } from "./volume-text.ts";

/** `vdc storage volume import|export`. */
export const addTransferCommands: AddCommands = (parent, bind) => {
  parent
    .command("import")
    .description("make a volume of an image file")
    .argument("<file>", "the image")
    .argument("<name>", "the volume's name")
    .option("--format <format>", "the image's format; needed unless it is a qcow2 image that is named so")
    .option("--storage <name>", "the pool; needed where there are several")
    .option("--size <size>", "larger than the image")
    .addHelpText(
      "after",
      examples([["vdc storage volume import debian.raw golden --format raw --storage clones", "a golden volume"]]),
    )
    .action(
      bind<{ format?: string; storage?: string; size?: string }>(async (context, options, args) => {
        const { terminal, cwd } = context;
        const path = resolve(cwd, textArgument(args, 0));
        const name = textArgument(args, 1);
        const format = options.format ?? (await recogniseFormat(path));
        const size = options.size === undefined ? {} : { capacityBytes: sizeOption(options.size) };
        await withDatacenter(context, async (dc) => {
          const storage = chosenStorage(dc, options.storage);
          const content = { kind: "file", path, format } as const;
          const { task } = await dc.volumes.create({ name, spec: { storage, content, ...size } });
          const afterCancel = (signal: AbortSignal) => dc.volumes.deleteAndWait(name, { signal });
          const volume = volumeView(
            await finishTask(context, task, { label: `Importing '${name}'`, about: { dc, name }, afterCancel }),
            undefined,
          );
          terminal.result({ volume }, () => `Volume '${name}': ${sizeText(volume.capacityBytes)} on '${storage}'.`);
        });
      }),
    );
  parent
    .command("export")
    .description("write a volume's content into a new file")
    .argument("<name>", "the volume")
    .argument("<file>", "the new file")
    .requiredOption("--format <format>", "'raw' or 'qcow2', as far as the pool can")
    .addHelpText("after", examples([["vdc storage volume export disk disk.qcow2 --format qcow2", "for other tools"]]))
    .action(
      bind<{ format: string }>((context, { format }, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal, cwd } = context;
          const name = textArgument(args, 0);
          const path = resolve(cwd, textArgument(args, 1));
          const { storage, volumeId } = await presentVolume(dc, name, signal);
          const { capacityBytes } = await storage.getVolume({ volumeId }, { signal });
          const transfer = await facetOf(storage, "importExport", signal);
          await terminal.progress(
            `Exporting '${name}'`,
            ({ update }) =>
              transfer.exportVolume({ volumeId, destination: { path, format } }, { signal, onProgress: update }),
            { totalBytes: capacityBytes },
          );
          terminal.result(
            { exported: { volume: name, path, format } },
            () => `Volume '${name}' is in '${path}' (${format}).`,
          );
        }),
      ),
    );
};
