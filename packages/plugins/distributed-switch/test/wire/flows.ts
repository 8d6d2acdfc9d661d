import type { FlowRecord } from "../../src/wire/ipfix/flow-record.ts";
import { ipAddressBytes } from "../../src/wire/packet/ip-address.ts";

/** A flow of TCP over IPv4, in a VLAN. */
export const flow: FlowRecord = {
  sourceMac: "52:54:00:00:00:01",
  destinationMac: "52:54:00:00:00:02",
  vlan: 10,
  etherType: 0x0800,
  sourceAddress: ipAddressBytes("192.0.2.1"),
  destinationAddress: ipAddressBytes("192.0.2.2"),
  protocol: 6,
  sourcePort: 1000,
  destinationPort: 2000,
  portKey: "web-nic0",
  direction: "in",
  packets: 3,
  octets: 300,
  startMs: 1_700_000_000_123,
  endMs: 1_700_000_001_456,
  endReason: "idleTimeout",
};

/** One over IPv6, the other way. */
export const flow6: FlowRecord = {
  ...flow,
  etherType: 0x86dd,
  sourceAddress: ipAddressBytes("2001:db8::1"),
  destinationAddress: ipAddressBytes("2001:db8::2"),
  portKey: "db-nic0",
  direction: "out",
  endReason: "activeTimeout",
};

/** One that is not IP. */
export const arp: FlowRecord = {
  ...flow,
  vlan: 0,
  etherType: 0x0806,
  sourceAddress: undefined,
  destinationAddress: undefined,
};
