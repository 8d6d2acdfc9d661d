import { VmdkError } from "./vmdk-error.ts";

/** How a VM sees the disk's controller. */
export type AdapterType = "ide" | "buslogic" | "lsilogic" | "legacyESX";

/** One line of a descriptor's extents. */
export interface ExtentLine {
  readonly access: string;
  readonly sectors: number;
  readonly type: string;
  readonly file: string | undefined;
}

/** What a VMDK's descriptor says. */
export interface Descriptor {
  /** Such as `streamOptimized` or `monolithicSparse`. */
  readonly createType: string;
  readonly contentId: string;
  /** `ffffffff` for a disk that stands alone. */
  readonly parentContentId: string;
  readonly extents: readonly ExtentLine[];
  /** The disk data base: `ddb.adapterType` and others. */
  readonly database: Readonly<Record<string, string>>;
}

/** Reads a descriptor's text. Unknown lines are passed over. Errors: `HEADER_INVALID`. */
export function parseDescriptor(text: string, path: string): Descriptor {
  const values = new Map<string, string>();
  const extents: ExtentLine[] = [];
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const extent = /^(RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)(?:\s+"([^"]*)")?/.exec(trimmed);
    if (extent !== null) {
      const [, access = "", count = "", type = "", file] = extent;
      extents.push({ access, sectors: Number(count), type, file });
      continue;
    }
    const setting = /^([\w.]+)\s*=\s*"?([^"]*)"?$/.exec(trimmed);
    if (setting !== null) values.set(setting[1] ?? "", (setting[2] ?? "").trim());
  }
  const createType = values.get("createType");
  if (createType === undefined) throw new VmdkError("HEADER_INVALID", `'${path}': its descriptor has no createType`);
  return {
    createType,
    contentId: values.get("CID") ?? "",
    parentContentId: values.get("parentCID") ?? "ffffffff",
    extents,
    database: Object.fromEntries([...values].filter(([name]) => name.startsWith("ddb."))),
  };
}

/** What the descriptor of a new stream-optimized disk is made from. */
export interface NewDescriptor {
  /** In sectors. */
  readonly capacity: number;
  readonly adapterType: AdapterType;
  /** The file's own name, as the extent line has it. */
  readonly fileName: string;
  /** Eight hexadecimal digits. */
  readonly contentId: string;
}

/** Writes the descriptor of a stream-optimized disk. */
export function formatDescriptor(options: NewDescriptor): string {
  const { capacity, adapterType, fileName, contentId } = options;
  // Cylinders, heads and sectors matter to nobody but old BIOSes; these are what VMware's tools write.
  const heads = adapterType === "ide" ? 16 : 255;
  const perTrack = 63;
  const cylinders = Math.min(adapterType === "ide" ? 16383 : 65535, Math.ceil(capacity / (heads * perTrack)));
  return [
    "# Disk DescriptorFile",
    "version=1",
    `CID=${contentId}`,
    "parentCID=ffffffff",
    'createType="streamOptimized"',
    "",
    "# Extent description",
    `RW ${capacity} SPARSE "${fileName.replaceAll('"', "")}"`,
    "",
    "# The Disk Data Base",
    "#DDB",
    "",
    `ddb.adapterType = "${adapterType}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${perTrack}"`,
    'ddb.toolsInstallType = "4"',
    'ddb.toolsVersion = "2147483647"',
    'ddb.virtualHWVersion = "13"',
    "",
  ].join("\n");
}
