import { resolve } from "node:path";
import type { ConvertTarget } from "@vdc-os/qcow2";
import { stat } from "node:fs/promises";
import { openDisk } from "../disk/open-disk.ts";
import { formatOf, statedFormat } from "../disk/recognise-format.ts";
import { usageError } from "../failure/failure.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { sizeOption } from "./volumes.ts";

interface ConvertOptions {
  readonly to: string;
  readonly format?: string;
  readonly filesIn?: string;
  readonly compress?: string | true;
  readonly clusterSize?: string;
}

/** `vdc disk convert`. */
export const addDiskConvertCommand: AddCommands = (parent, bind) => {
  parent
    .command("convert")
    .description("write an image's content into a new file of another format")
    .argument("<file>", "the image")
    .argument("<target>", "the new file")
    .requiredOption("--to <format>", "'qcow2', 'raw' or 'vmdk' (streamOptimized)")
    .option("--format <format>", "the image's format; a raw disk is never guessed")
    .option("--files-in <folder>", "the folder that backing and data files may lie in; else none is opened")
    .option("--compress [how]", "with qcow2: 'zlib' or 'zstd'")
    .option("--cluster-size <size>", "with qcow2. Default: 64K")
    .addHelpText(
      "after",
      examples([
        ["vdc disk convert disk.raw disk.qcow2 --format raw --to qcow2", "thin: zeroes take no space"],
        ["vdc disk convert disk.qcow2 disk.vmdk --to vmdk", "for a virtual appliance"],
        ["vdc disk convert web.qcow2 flat.qcow2 --to qcow2 --files-in .", "a chain made into one file"],
      ]),
    )
    .action(
      bind<ConvertOptions>(async ({ terminal, signal, cwd }, options, args) => {
        const path = resolve(cwd, textArgument(args, 0));
        const target = resolve(cwd, textArgument(args, 1));
        const to = statedFormat(options.to, "--to");
        const variant = variantOf(options, to);
        const format = await formatOf(path, options.format);
        const [{ convert }, { createVmdk }] = await Promise.all([import("@vdc-os/qcow2"), import("@vdc-os/vmdk")]);
        const disk = await openDisk(path, { format, filesIn: options.filesIn, cwd });
        try {
          const { sizeBytes } = disk;
          await terminal.progress(
            "Converting",
            ({ update }) => {
              const onProgress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
                update({ fraction: doneBytes / Math.max(1, totalBytes) });
              if (to === "vmdk") return createVmdk({ path: target, source: disk, signal, onProgress });
              return convert(
                disk,
                to === "raw" ? { format: to, path: target } : { format: to, path: target, ...variant },
                {
                  signal,
                  onProgress,
                },
              );
            },
            { totalBytes: sizeBytes },
          );
          const file = await stat(target);
          const converted = { file: target, format: to, virtualSizeBytes: sizeBytes, diskBytes: file.blocks * 512 };
          terminal.result(
            { converted },
            () => `'${target}': ${to}, ${formatByteSize(sizeBytes)}, takes ${formatByteSize(converted.diskBytes)}.`,
          );
        } finally {
          await disk.close();
        }
      }),
    );
};

/** How a qcow2 image is written. */
type Qcow2Variant = Omit<Extract<ConvertTarget, { readonly format: "qcow2" }>, "format" | "path">;

function variantOf({ compress, clusterSize }: ConvertOptions, to: string): Qcow2Variant {
  if (to !== "qcow2" && (compress !== undefined || clusterSize !== undefined)) {
    throw usageError("'--compress' and '--cluster-size' go with '--to qcow2'");
  }
  const compression = compress === true ? "zlib" : compress;
  if (compression !== undefined && compression !== "zlib" && compression !== "zstd") {
    throw usageError(`'--compress ${compression}': say 'zlib' or 'zstd'`);
  }
  return {
    ...(compression === undefined ? {} : { compressed: true, compression }),
    ...(clusterSize === undefined ? {} : { clusterSizeBytes: sizeOption(clusterSize) }),
  };
}
