import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { VdcError } from "@vdc-os/core";
import type { PackageFile } from "@vdc-os/core/certificate";

/** A file of a package's tarball. */
export interface TarballFile extends PackageFile {
  readonly content: Uint8Array;
}

/** A package's tarball: its digest, and its files, by their paths in the package. */
export interface Tarball {
  readonly sha256: string;
  readonly files: readonly TarballFile[];
}

const block = 512;

/** What a tarball may unpack to, in bytes: more is no plugin. */
const maxBytes = 512 * 2 ** 20;

/** Reads a tarball as `npm pack` makes it. Rejects with `NOT_FOUND` when it is not there, `INVALID_ARGUMENT` when it is none. */
export async function readTarball(path: string): Promise<Tarball> {
  let packed: Buffer;
  try {
    packed = await readFile(path);
  } catch (cause) {
    throw new VdcError("NOT_FOUND", `'${path}' can't be read: ${(cause as Error).message}`, { cause });
  }
  let unpacked: Buffer;
  try {
    unpacked = await promisify(gunzip)(packed, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${path}' is no package's tarball: ${(cause as Error).message}`, { cause });
  }
  try {
    return { sha256: createHash("sha256").update(packed).digest("hex"), files: [...readFiles(unpacked)] };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new VdcError("INVALID_ARGUMENT", `'${path}' is no package's tarball: ${cause.message}`, { cause });
  }
}

/** Writes a tarball's files into an empty folder. */
export async function unpackTarball({ files }: Tarball, folder: string): Promise<void> {
  for (const { path, content } of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}

/** The files of an unpacked archive: ustar, with the long names of pax and GNU. Throws a `RangeError` for what an archive can't say. */
function* readFiles(archive: Buffer): Generator<TarballFile> {
  const seen = new Set<string>();
  let longName: string | undefined;
  for (let at = 0; at + block <= archive.length; ) {
    const header = archive.subarray(at, at + block);
    if (header.every((byte) => byte === 0)) return;
    if (numberAt(header, 148, 8) !== checksumOf(header)) throw new RangeError(`the header at ${at} is damaged`);
    const size = numberAt(header, 124, 12);
    const content = archive.subarray(at + block, at + block + size);
    if (content.length !== size) throw new RangeError(`the archive ends within the file at ${at}`);
    at += block + Math.ceil(size / block) * block;
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === "x") longName = paxPath(content) ?? longName;
    else if (type === "L") longName = textOf(content);
    else if (type === "0" || type === "\0") {
      const path = insidePackage(longName ?? nameOf(header));
      longName = undefined;
      if (seen.has(path)) throw new RangeError(`'${path}' is there twice`);
      seen.add(path);
      yield { path, content, sha256: createHash("sha256").update(content).digest("hex") };
    } else if (type === "g" || type === "5") longName = undefined;
    else throw new RangeError(`an entry of type '${type}' can't be in a package`);
  }
  throw new RangeError("the archive has no end");
}

/** The path without its first folder, which is `package` in npm's tarballs. No path leads out. */
function insidePackage(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  const [, ...rest] = parts;
  const isStrange = rest.length === 0 || parts.includes("..") || /[\0\n\\]/.test(name) || name.startsWith("/");
  if (isStrange) throw new RangeError(`'${name}' is no path in a package`);
  return rest.join("/");
}

function nameOf(header: Buffer): string {
  const name = textOf(header.subarray(0, 100));
  const isUstar = header.toString("latin1", 257, 262) === "ustar";
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

function numberAt(header: Buffer, at: number, length: number): number {
  const text = textOf(header.subarray(at, at + length)).trim();
  if (!/^[0-7]+$/.test(text)) throw new RangeError("a header has a number that is none");
  return Number.parseInt(text, 8);
}

function checksumOf(header: Buffer): number {
  return header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

/** The path in a pax header: records of `<length> <key>=<value>\n`. */
function paxPath(records: Buffer): string | undefined {
  let path: string | undefined;
  for (let at = 0; at < records.length; ) {
    const space = records.indexOf(0x20, at);
    const length = Number(records.toString("latin1", at, space));
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > records.length) {
      throw new RangeError("a pax header is damaged");
    }
    const [key, ...value] = records.toString("utf8", space + 1, at + length - 1).split("=");
    if (key === "path") path = value.join("=");
    at += length;
  }
  return path;
}
