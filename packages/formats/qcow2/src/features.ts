import type { HeaderExtension } from "./header.ts";

export const EXTENSION_FEATURE_NAMES = 0x6803_f857;

/** A feature that a header declares, by the name that the file or the specification gives it. */
export interface HeaderFeature {
  readonly kind: "incompatible" | "compatible" | "autoclear";
  readonly bit: number;
  readonly name: string;
}

const KNOWN_FEATURES: readonly HeaderFeature[] = [
  { kind: "incompatible", bit: 0, name: "dirty bit" },
  { kind: "incompatible", bit: 1, name: "corrupt bit" },
  { kind: "incompatible", bit: 2, name: "external data file" },
  { kind: "incompatible", bit: 3, name: "compression type" },
  { kind: "incompatible", bit: 4, name: "extended L2 entries" },
  { kind: "compatible", bit: 0, name: "lazy refcounts" },
  { kind: "autoclear", bit: 0, name: "bitmaps" },
  { kind: "autoclear", bit: 1, name: "raw external data" },
];

/** Bytes of one entry of the feature name table. */
const NAME_ENTRY_BYTES = 48;
const KINDS = ["incompatible", "compatible", "autoclear"] as const;

/** The feature name table that new images carry, so that a reader that lacks a feature can say which. */
export function featureNameTable(): Buffer {
  const table = Buffer.alloc(KNOWN_FEATURES.length * NAME_ENTRY_BYTES);
  for (const [index, { kind, bit, name }] of KNOWN_FEATURES.entries()) {
    const at = index * NAME_ENTRY_BYTES;
    table.writeUInt8(KINDS.indexOf(kind), at);
    table.writeUInt8(bit, at + 1);
    table.write(name, at + 2, NAME_ENTRY_BYTES - 2, "latin1");
  }
  return table;
}

/** The features that a version 3 header declares. */
export function readFeatures(cluster: Buffer, extensions: readonly HeaderExtension[]): HeaderFeature[] {
  const names = extensions.find((extension) => extension.type === EXTENSION_FEATURE_NAMES)?.data ?? Buffer.alloc(0);
  const features: HeaderFeature[] = [];
  for (const [index, kind] of KINDS.entries()) {
    for (let bit = 0; bit < 64; bit++) {
      const word = cluster.readUInt32BE(72 + index * 8 + (bit < 32 ? 4 : 0));
      if (((word >>> (bit % 32)) & 1) === 0) continue;
      let name = KNOWN_FEATURES.find((known) => known.kind === kind && known.bit === bit)?.name;
      for (let at = 0; name === undefined && at + NAME_ENTRY_BYTES <= names.length; at += NAME_ENTRY_BYTES) {
        // The name comes from the file, so only printable characters of it reach a message.
        if (names[at] !== index || names[at + 1] !== bit) continue;
        const text = names.toString("latin1", at + 2, at + NAME_ENTRY_BYTES).replace(/[^\x20-\x7e]/g, "");
        if (text !== "") name = text;
      }
      features.push({ kind, bit, name: name ?? `unnamed bit ${bit}` });
    }
  }
  return features;
}
