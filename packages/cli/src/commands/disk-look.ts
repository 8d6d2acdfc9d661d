import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { CheckResult } from "@vdc-os/qcow2";
import { VdcError } from "@vdc-os/core";
import type { Extent } from "@vdc-os/core/storage/v1";
import { compareDisks } from "../disk/compare-disks.ts";
import { openDisk } from "../disk/open-disk.ts";
import { type DiskFormat, formatOf, formatOfMagic, statedFormat } from "../disk/recognise-format.ts";
import { usageError } from "../failure/failure.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { printable } from "../terminal/printable.ts";
import { formatFacts } from "../terminal/table.ts";
import { type AddCommands, type CommandContext, examples, textArgument } from "./command-context.ts";
import { showMap } from "./volume-map.ts";
import { sizeOption } from "./volumes.ts";

interface DiskOptions {
  readonly format?: string;
  readonly filesIn?: string;
}

const formatOption = ["--format <format>", "'qcow2', 'raw' or 'vmdk'; a raw disk is never guessed"] as const;
const filesOption = [
  "--files-in <folder>",
  "the folder that backing and data files may lie in; else none is opened",
] as const;

/** `vdc disk info|check|repair`. */
export const addDiskHealthCommands: AddCommands = (parent, bind) => {
  parent
    .command("info")
    .description("what an image's header says; nothing that it names is opened")
    .argument("<file>", "the image")
    .option(...formatOption)
    .action(
      bind<DiskOptions>(async ({ terminal, cwd }, { format: stated }, args) => {
        const path = resolve(cwd, textArgument(args, 0));
        // A header is read and nothing else, so a guess does no harm here.
        const format = stated === undefined ? ((await formatOfMagic(path)) ?? "raw") : statedFormat(stated, "--format");
        const info = await infoOf(path, format, stated === undefined);
        terminal.result({ disk: info }, () =>
          formatFacts(
            Object.entries(info).map(([name, value]) => [factName(name), factText(name, value)]),
            terminal.style.dim,
          ),
        );
      }),
    );
  parent
    .command("check")
    .description("hold an image's tables against each other; changes nothing")
    .argument("<file>", "the image")
    .option(...formatOption)
    .action(
      bind<DiskOptions>(async (context, { format: stated }, args) => {
        const { terminal, signal, cwd } = context;
        const path = resolve(cwd, textArgument(args, 0));
        const format = await formatOf(path, stated);
        if (format === "raw") throw new VdcError("UNIMPLEMENTED", "a raw disk has no tables that could be checked");
        if (format === "vmdk") return checkVmdk(context, path);
        const { check } = await import("@vdc-os/qcow2");
        const result = await terminal.progress("Checking", ({ update }) =>
          check(path, {
            signal,
            onProgress: (tables) => update({ fraction: tables.doneTables / Math.max(1, tables.totalTables) }),
          }),
        );
        terminal.result({ check: result }, () => checkText(result));
        if (result.corruptions > 0)
          throw damaged(path, `${result.corruptions} damaged places`, "see 'vdc disk repair --help'");
      }),
    );
  parent
    .command("repair")
    .description("repair a qcow2 image that nobody has open, where no data has to be guessed")
    .argument("<file>", "the image")
    .option(...formatOption)
    .option("--leaks-only", "only give back space that nothing refers to")
    .action(
      bind<DiskOptions & { leaksOnly?: boolean }>(async (context, { format: stated, leaksOnly = false }, args) => {
        const { terminal, signal, cwd } = context;
        const path = resolve(cwd, textArgument(args, 0));
        if ((await formatOf(path, stated)) !== "qcow2") throw usageError("only qcow2 images are repaired");
        const { repair } = await import("@vdc-os/qcow2");
        const what = leaksOnly ? "leaks" : "all";
        const result = await terminal.progress("Repairing", () => repair(path, { what, signal }));
        terminal.result({ repair: result }, () => `${result.repaired} repaired. Found: ${checkText(result)}`);
      }),
    );
};

/** `vdc disk map|measure|compare`. */
export const addDiskContentCommands: AddCommands = (parent, bind) => {
  parent
    .command("map")
    .description("where an image holds data: a picture")
    .argument("<file>", "the image")
    .option(...formatOption)
    .option(...filesOption)
    .option("--svg <file>", "write the picture as SVG")
    .action(
      bind<DiskOptions & { svg?: string }>(async (context, { svg, filesIn, format: stated }, args) => {
        const { cwd, signal } = context;
        const path = resolve(cwd, textArgument(args, 0));
        const disk = await openDisk(path, { format: await formatOf(path, stated), filesIn, cwd });
        try {
          const { mapRanges } = await import("@vdc-os/qcow2");
          const extents: Extent[] = [];
          for (const { offset, length, present, data } of mapRanges(disk)) {
            signal.throwIfAborted();
            if (present) extents.push({ offset, length, zero: !data });
          }
          await showMap(context, { name: basename(path), capacityBytes: disk.sizeBytes, extents }, svg);
        } finally {
          await disk.close();
        }
      }),
    );
  parent
    .command("measure")
    .description("how large a qcow2 image of a disk becomes")
    .argument("[file]", "an image that is there")
    .option("--size <size>", "an empty disk of this size instead")
    .option(...formatOption)
    .option(...filesOption)
    .option("--cluster-size <size>", "of the new image. Default: 64K")
    .addHelpText(
      "after",
      examples([
        ["vdc disk measure disk.raw --format raw", "as a copy"],
        ["vdc disk measure --size 1T", "at first, and at most"],
      ]),
    )
    .action(
      bind<DiskOptions & { size?: string; clusterSize?: string }>(async (context, options, args) => {
        const { terminal, cwd } = context;
        const { size, clusterSize, filesIn } = options;
        const variant = clusterSize === undefined ? {} : { clusterSizeBytes: sizeOption(clusterSize) };
        const file = typeof args[0] === "string" ? resolve(cwd, args[0]) : undefined;
        if ((file === undefined) === (size === undefined)) throw usageError("say a file, or '--size SIZE'");
        const { measure } = await import("@vdc-os/qcow2");
        let measured: { readonly requiredBytes: number; readonly fullyAllocatedBytes: number };
        if (file === undefined) measured = measure({ virtualSizeBytes: sizeOption(size ?? ""), ...variant });
        else {
          const disk = await openDisk(file, { format: await formatOf(file, options.format), filesIn, cwd });
          try {
            measured = measure(disk, variant);
          } finally {
            await disk.close();
          }
        }
        terminal.result({ measured }, () =>
          formatFacts(
            [
              ["as it is", formatByteSize(measured.requiredBytes)],
              ["when all is written", formatByteSize(measured.fullyAllocatedBytes)],
            ],
            terminal.style.dim,
          ),
        );
      }),
    );
  parent
    .command("compare")
    .description("whether two images read the same; exit code 1 where they do not")
    .argument("<first>", "an image")
    .argument("<second>", "another")
    .option(...formatOption)
    .option("--second-format <format>", "the second one's format")
    .option(...filesOption)
    .addHelpText("after", examples([["vdc disk compare a.qcow2 b.raw --second-format raw", "the formats may differ"]]))
    .action(
      bind<DiskOptions & { secondFormat?: string }>(async (context, { format, secondFormat, filesIn }, args) => {
        const { terminal, signal, cwd } = context;
        const paths = [resolve(cwd, textArgument(args, 0)), resolve(cwd, textArgument(args, 1))] as const;
        const formats = [
          await formatOf(paths[0], format),
          await formatOf(paths[1], secondFormat, "--second-format"),
        ] as const;
        const first = await openDisk(paths[0], { format: formats[0], filesIn, cwd });
        try {
          const second = await openDisk(paths[1], { format: formats[1], filesIn, cwd });
          try {
            const comparison = await terminal.progress(
              "Comparing",
              ({ update }) => compareDisks(first, second, { signal, onProgress: update }),
              { totalBytes: Math.max(first.sizeBytes, second.sizeBytes) },
            );
            const { same, firstDifference, differentBytes, sizes } = comparison;
            terminal.result({ comparison }, () => {
              const rest = sizes[0] === sizes[1] ? "" : ", apart from zeroes at the end of the larger one";
              return same
                ? `Both read the same${rest}.`
                : `${differentBytes} bytes differ, the first at ${firstDifference}.`;
            });
            if (same) return;
            throw new VdcError(
              "FAILED_PRECONDITION",
              `'${paths[0]}' and '${paths[1]}' differ at byte ${firstDifference}`,
              {
                reason: "VDC_DISKS_DIFFER",
              },
            );
          } finally {
            await second.close();
          }
        } finally {
          await first.close();
        }
      }),
    );
};

/** Facts of an image. Those that end in `Bytes` are sizes. */
async function infoOf(path: string, format: DiskFormat, guessed: boolean): Promise<Readonly<Record<string, unknown>>> {
  const file = await stat(path);
  const about = { file: path, format, ...(guessed ? { formatIsGuessed: true } : {}) };
  if (format === "qcow2") return { ...about, ...(await (await import("@vdc-os/qcow2")).inspect(path)) };
  const sizes = { fileSizeBytes: file.size, diskBytes: file.blocks * 512 };
  if (format === "raw") return { ...about, virtualSizeBytes: file.size, ...sizes };
  const { VmdkDisk } = await import("@vdc-os/vmdk");
  const disk = await VmdkDisk.open(path);
  try {
    return { ...about, virtualSizeBytes: disk.sizeBytes, ...sizes, createType: disk.descriptor.createType };
  } finally {
    await disk.close();
  }
}

/** `virtualSizeBytes` as people say it: `virtual size`. */
function factName(name: string): string {
  return name
    .replace(/Bytes$/, "")
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .toLowerCase();
}

function factText(name: string, value: unknown): string | undefined {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return undefined;
  if (typeof value === "number" && name.endsWith("Bytes")) return formatByteSize(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return printable(value.join(", "));
  if (typeof value === "object" && value !== null) {
    return printable(
      Object.values(value)
        .filter((each) => each !== undefined)
        .join(", "),
    );
  }
  return printable(String(value));
}

async function checkVmdk({ terminal, signal }: CommandContext, path: string): Promise<void> {
  const { VmdkDisk } = await import("@vdc-os/vmdk");
  const disk = await VmdkDisk.open(path);
  try {
    const { sizeBytes } = disk;
    const buffer = Buffer.alloc(1024 * 1024);
    const window = buffer.length * 64;
    await terminal.progress(
      "Checking",
      async ({ update }) => {
        for (let at = 0; at < sizeBytes; at += window) {
          for (const { offset, length, kind } of disk.map(at, Math.min(window, sizeBytes - at))) {
            for (let done = 0; kind === "data" && done < length; done += buffer.length) {
              signal.throwIfAborted();
              await disk.read(buffer.subarray(0, Math.min(buffer.length, length - done)), offset + done);
            }
          }
          update({ fraction: Math.min(1, (at + window) / sizeBytes) });
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
      { totalBytes: sizeBytes },
    );
    terminal.result({ check: { corruptions: 0, readBytes: sizeBytes } }, () => "All of it can be read.");
  } finally {
    await disk.close();
  }
}

function checkText({ leaks, corruptions, problems, allocatedClusters, totalClusters }: CheckResult): string {
  const used = `${allocatedClusters} of ${totalClusters} clusters are used`;
  if (leaks === 0 && corruptions === 0) return `No errors. ${used}.`;
  const shown = problems.slice(0, 20).map(({ text }) => `  ${printable(text)}`);
  const more = problems.length > shown.length ? [`  and ${problems.length - shown.length} more`] : [];
  return [`${corruptions} damaged places, ${leaks} leaked clusters. ${used}.`, ...shown, ...more].join("\n");
}

function damaged(path: string, what: string, then: string): VdcError {
  return new VdcError("DATA_LOSS", `'${path}' has ${what}: ${then}`, { reason: "VDC_DISK_DAMAGED" });
}
