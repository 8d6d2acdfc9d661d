import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import { finishTask } from "../datacenter/finish-task.ts";
import { chosenStorage, facetOf, presentVolume } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { formatOf } from "../disk/recognise-format.ts";
import { usageError } from "../failure/failure.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { sizeOption } from "./volumes.ts";
import { sizeText, volumeView } from "./volume-text.ts";

/** `vdc storage volume import|export`. */
export const addTransferCommands: AddCommands = (parent, bind) => {
  parent
    .command("import")
    .description("make a volume of an image file")
    .argument("<file>", "the image: raw or qcow2; 'vdc disk convert' makes one of a VMDK")
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
        const format = await importedFormat(path, options.format);
        const size = options.size === undefined ? {} : { capacityBytes: sizeOption(options.size) };
        await withDatacenter(context, async (dc) => {
          const storage = chosenStorage(dc, options.storage);
          const content = { kind: "file", path, format } as const;
          const { task, created } = await dc.volumes.create({ name, spec: { storage, content, ...size } });
          const afterCancel = (signal: AbortSignal) => dc.volumes.deleteAndWait(name, { signal });
          const made = await finishTask(context, task, {
            label: `Importing '${name}'`,
            about: { dc, name },
            afterCancel,
            undoFailed: created,
          });
          const volume = volumeView(made, undefined);
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

/** The format of an image that is to be imported. Fails before anything is made where there is no such file, or pools take no such format. */
async function importedFormat(path: string, stated: string | undefined): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) {
    throw new VdcError("NOT_FOUND", `there is no file '${path}'`, { reason: "VDC_NO_FILE" });
  }
  const format = await formatOf(path, stated);
  if (format !== "vmdk") return format;
  throw usageError(`pools import 'raw' and 'qcow2': make one of it with 'vdc disk convert ${path} FILE --to qcow2'`);
}
