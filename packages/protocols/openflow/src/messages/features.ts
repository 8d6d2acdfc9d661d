import { mustHave } from "../wire/malformed.ts";

/** What a switch says of itself (OpenFlow 1.3.5, 7.3.1). */
export interface Features {
  /** What it is known by, in 16 hexadecimal digits; Open vSwitch's `datapath_id`. */
  readonly datapathId: string;
  readonly tables: number;
}

/** @throws `OPENFLOW_PROTOCOL` */
export function parseFeatures(body: Buffer): Features {
  mustHave(body, 24, "the features");
  return { datapathId: body.toString("hex", 0, 8), tables: body.readUInt8(12) };
}
