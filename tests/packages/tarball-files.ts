import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

const block = 512;

/** The files of an npm package's tarball, by their paths in the package. */
export async function tarballFiles(path: string): Promise<ReadonlyMap<string, Buffer>> {
  const bytes = gunzipSync(await readFile(path));
  const files = new Map<string, Buffer>();
  for (let offset = 0; offset + block <= bytes.length; ) {
    const field = (start: number, length: number): string =>
      bytes
        .subarray(offset + start, offset + start + length)
        .toString("utf8")
        .replace(/\0.*$/s, "");
    const name = field(0, 100);
    if (name === "") break;
    const size = Number.parseInt(field(124, 12), 8);
    const kind = field(156, 1) || "0";
    const prefix = field(345, 155);
    if (kind === "0") {
      const whole = prefix === "" ? name : `${prefix}/${name}`;
      files.set(whole.replace(/^package\//, ""), bytes.subarray(offset + block, offset + block + size));
    } else if (kind !== "5") throw new Error(`'${path}' has an entry of the kind '${kind}', '${name}'`);
    offset += block + Math.ceil(size / block) * block;
  }
  return files;
}
