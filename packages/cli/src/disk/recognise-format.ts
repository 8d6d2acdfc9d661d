import { open } from "node:fs/promises";
import { extname } from "node:path";
import { usageError } from "../failure/failure.ts";

/** The formats of disk images that are read here. */
export type DiskFormat = "qcow2" | "raw" | "vmdk";

const formats: readonly DiskFormat[] = ["qcow2", "raw", "vmdk"];

const magics: readonly (readonly [magic: string, format: DiskFormat])[] = [
  ["QFI\u00fb", "qcow2"],
  ["KDMV", "vmdk"],
];

/** A format that was stated. Fails with a usage error for one that is not known. */
export function statedFormat(text: string, option: string): DiskFormat {
  const found = formats.find((format) => format === text);
  if (found !== undefined) return found;
  throw usageError(`'${option} ${text}': say ${formats.map((format) => `'${format}'`).join(", ")}`);
}

/** What a file's first bytes look like. It is no proof: whoever writes to a raw disk can write these. */
export async function formatOfMagic(path: string): Promise<DiskFormat | undefined> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    const start = buffer.toString("latin1", 0, bytesRead);
    return magics.find(([magic]) => magic === start)?.[1];
  } finally {
    await file.close();
  }
}

/**
 * The format of a file for which none was stated: qcow2 or VMDK, where both its name and its first bytes say so. Anything else fails with a usage error: a raw
 * disk has no mark of its own, and its guest could have written that of another format into it.
 */
export async function recogniseFormat(path: string): Promise<DiskFormat> {
  const format = await formatOfMagic(path);
  if (format !== undefined && extname(path).toLowerCase() === `.${format}`) return format;
  const looks =
    format === undefined ? "" : ` It begins like ${format}, but so may a raw disk that its guest has written.`;
  throw usageError(`say with '--format' whether '${path}' is 'raw', 'qcow2' or 'vmdk'.${looks}`);
}

/** The format that was stated, or the one that is recognised. */
export async function formatOf(path: string, stated: string | undefined, option = "--format"): Promise<DiskFormat> {
  return stated === undefined ? recogniseFormat(path) : statedFormat(stated, option);
}
