import { experimenters } from "../wire/message.ts";

/** The errors of OpenFlow 1.3.5 (7.4.4) by type, in the order of their codes. */
const standard: readonly (readonly [prefix: string, codes: readonly string[]])[] = [
  ["OFPHFC", ["INCOMPATIBLE", "EPERM"]],
  [
    "OFPBRC",
    [
      ...["BAD_VERSION", "BAD_TYPE", "BAD_MULTIPART", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "EPERM", "BAD_LEN"],
      ...["BUFFER_EMPTY", "BUFFER_UNKNOWN", "BAD_TABLE_ID", "IS_SLAVE", "BAD_PORT", "BAD_PACKET"],
      "MULTIPART_BUFFER_OVERFLOW",
    ],
  ],
  [
    "OFPBAC",
    [
      ...["BAD_TYPE", "BAD_LEN", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_OUT_PORT", "BAD_ARGUMENT", "EPERM"],
      ...["TOO_MANY", "BAD_QUEUE", "BAD_OUT_GROUP", "MATCH_INCONSISTENT", "UNSUPPORTED_ORDER", "BAD_TAG"],
      ...["BAD_SET_TYPE", "BAD_SET_LEN", "BAD_SET_ARGUMENT"],
    ],
  ],
  [
    "OFPBIC",
    [
      ...["UNKNOWN_INST", "UNSUP_INST", "BAD_TABLE_ID", "UNSUP_METADATA", "UNSUP_METADATA_MASK", "BAD_EXPERIMENTER"],
      ...["BAD_EXP_TYPE", "BAD_LEN", "EPERM"],
    ],
  ],
  [
    "OFPBMC",
    [
      ...["BAD_TYPE", "BAD_LEN", "BAD_TAG", "BAD_DL_ADDR_MASK", "BAD_NW_ADDR_MASK", "BAD_WILDCARDS", "BAD_FIELD"],
      ...["BAD_VALUE", "BAD_MASK", "BAD_PREREQ", "DUP_FIELD", "EPERM"],
    ],
  ],
  ["OFPFMFC", ["UNKNOWN", "TABLE_FULL", "BAD_TABLE_ID", "OVERLAP", "EPERM", "BAD_TIMEOUT", "BAD_COMMAND", "BAD_FLAGS"]],
  [
    "OFPGMFC",
    [
      ...["GROUP_EXISTS", "INVALID_GROUP", "WEIGHT_UNSUPPORTED", "OUT_OF_GROUPS", "OUT_OF_BUCKETS"],
      ...["CHAINING_UNSUPPORTED", "WATCH_UNSUPPORTED", "LOOP", "UNKNOWN_GROUP", "CHAINED_GROUP", "BAD_TYPE"],
      ...["BAD_COMMAND", "BAD_BUCKET", "BAD_WATCH", "EPERM"],
    ],
  ],
  ["OFPPMFC", ["BAD_PORT", "BAD_HW_ADDR", "BAD_CONFIG", "BAD_ADVERTISE", "EPERM"]],
  ["OFPTMFC", ["BAD_TABLE", "BAD_CONFIG", "EPERM"]],
  ["OFPQOFC", ["BAD_PORT", "BAD_QUEUE", "EPERM"]],
  ["OFPSCFC", ["BAD_FLAGS", "BAD_LEN", "EPERM"]],
  ["OFPRRFC", ["STALE", "UNSUP", "BAD_ROLE"]],
  [
    "OFPMMFC",
    [
      ...["UNKNOWN", "METER_EXISTS", "INVALID_METER", "UNKNOWN_METER", "BAD_COMMAND", "BAD_FLAGS", "BAD_RATE"],
      ...["BAD_BURST", "BAD_BAND", "BAD_BAND_VALUE", "OUT_OF_METERS", "OUT_OF_BANDS"],
    ],
  ],
  ["OFPTFFC", ["BAD_TABLE", "BAD_METADATA", "BAD_TYPE", "BAD_LEN", "BAD_ARGUMENT", "EPERM"]],
];

/** The errors of bundles (the extension EXT-230 of OpenFlow 1.3), from 2300 on. */
const bundles = [
  ...["UNKNOWN", "EPERM", "BAD_ID", "BUNDLE_EXIST", "BUNDLE_CLOSED", "OUT_OF_BUNDLES", "BAD_TYPE", "BAD_FLAGS"],
  ...["MSG_BAD_LEN", "MSG_BAD_XID", "MSG_UNSUP", "MSG_CONFLICT", "MSG_TOO_MANY", "MSG_FAILED", "TIMEOUT"],
  "BUNDLE_IN_PROGRESS",
];
const firstOfBundles = 2300;

/** Open vSwitch's own (`ofp-errors.h`), as far as a client of this kind can meet them. */
const openVswitch: ReadonlyMap<number, string> = new Map([
  [2, "NXBRC_NXM_INVALID"],
  [3, "NXBRC_NXM_BAD_TYPE"],
  [4, "NXBRC_MUST_BE_ZERO"],
  [10, "NXBRC_UNENCODABLE_ERROR"],
  [11, "NXBAC_MUST_BE_ZERO"],
  [12, "NXFMFC_HARDWARE"],
  [13, "NXFMFC_BAD_TABLE_ID"],
  [15, "NXBAC_BAD_CONJUNCTION"],
]);

/** How the specification names an error; undefined where it does not. */
export function standardErrorName(type: number, code: number): string | undefined {
  const [prefix, codes = []] = standard[type] ?? [];
  const name = codes[code];
  return name === undefined ? undefined : `${prefix}_${name}`;
}

/** How an experimenter names its error; undefined where that is not known. */
export function experimenterErrorName(experimenter: number, type: number): string | undefined {
  if (experimenter === experimenters.openVswitch) return openVswitch.get(type);
  if (experimenter !== experimenters.onf) return undefined;
  if (type === 2600) return "OFPBIC_DUP_INST";
  const name = bundles[type - firstOfBundles];
  return name === undefined ? undefined : `OFPBFC_${name}`;
}
