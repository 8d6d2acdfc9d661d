import { hasFeature, type Header } from "./header.ts";
import type { ImageFile } from "./file-layer.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** The low half of the incompatible features: the dirty and the corrupt bit are in it. */
const INCOMPATIBLE_AT = 76;
export const DIRTY_BIT = 0;
export const CORRUPT_BIT = 1;

/** Sets or clears incompatible feature bits in the file, in one write of four bytes, and gives the header that results. The caller syncs. */
export function writeIncompatibleBits(
  file: ImageFile,
  header: Header,
  change: { readonly set?: readonly number[]; readonly clear?: readonly number[] },
): Header {
  if (header.version !== 3) return header;
  const { set = [], clear = [] } = change;
  const missing = set.filter((bit) => !hasFeature(header, "incompatible", bit));
  const present = clear.filter((bit) => hasFeature(header, "incompatible", bit));
  if (missing.length === 0 && present.length === 0) return header;
  const word = Buffer.alloc(4);
  if (file.readSync(word, INCOMPATIBLE_AT) < 4) throw new Qcow2Error("HEADER_INVALID", `'${file.path}' has no header`);
  let value = word.readUInt32BE(0);
  for (const bit of missing) value |= 1 << bit;
  for (const bit of present) value &= ~(1 << bit);
  word.writeUInt32BE(value >>> 0, 0);
  file.writeSync(word, INCOMPATIBLE_AT);
  const names = ["dirty bit", "corrupt bit"];
  return {
    ...header,
    features: [
      ...header.features.filter((feature) => feature.kind !== "incompatible" || !present.includes(feature.bit)),
      ...missing.map((bit) => ({ kind: "incompatible" as const, bit, name: names[bit] ?? `unnamed bit ${bit}` })),
    ],
  };
}
