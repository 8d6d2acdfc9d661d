import { internetChecksum, transportChecksum } from "../wire/packet/internet-checksum.ts";
import { recordOf } from "./ethernet-frame.ts";

/** Of the switch itself: locally administered, and no station's. */
const SOURCE = "025644430001";
const ICMPV6 = 58;

/**
 * A general query to whoever is behind a port, to be answered within a tenth of a second: version 3 of IGMP (RFC 3376, section 4.1) or version 2
 * of MLD (RFC 3810, section 5.1), as a record. IGMP's comes from 0.0.0.0, so that nobody takes the switch for a router (RFC 4541, section 2.1.1).
 */
export function membershipQuery(family: "igmp" | "mld"): Buffer {
  return recordOf(family === "igmp" ? igmpQuery() : mldQuery());
}

function igmpQuery(): Buffer {
  const ethernet = `01005e000001${SOURCE}0800`;
  // With the option "router alert" (RFC 2113), one hop far.
  const header = Buffer.from("46c000240000400001020000" + "00000000" + "e0000001" + "94040000", "hex");
  header.writeUInt16BE(internetChecksum(header), 10);
  const message = Buffer.from("1101000000000000027d0000", "hex");
  message.writeUInt16BE(internetChecksum(message), 2);
  return Buffer.concat([Buffer.from(ethernet, "hex"), header, message]);
}

function mldQuery(): Buffer {
  const source = Buffer.from("fe80000000000000005644fffe430001", "hex");
  const destination = Buffer.from("ff020000000000000000000000000001", "hex");
  const routerAlert = Buffer.from("3a00050200000100", "hex");
  const message = Buffer.alloc(28);
  message.writeUInt8(130, 0);
  message.writeUInt16BE(100, 4);
  message.writeUInt16BE(0x027d, 24);
  message.writeUInt16BE(transportChecksum(message, { source, destination, protocol: ICMPV6 }), 2);
  const header = Buffer.from("6000000000240001", "hex");
  const ethernet = Buffer.from(`333300000001${SOURCE}86dd`, "hex");
  return Buffer.concat([ethernet, header, source, destination, routerAlert, message]);
}
