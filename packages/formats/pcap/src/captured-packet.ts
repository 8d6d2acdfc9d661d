/** A frame for a capture file. */
export interface CapturedPacket {
  /** The frame from its destination address on, without FCS; cut to the capture's snap length or whole. */
  readonly data: Uint8Array;
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** The frame's length on the wire. Defaults to `data.length`. */
  readonly originalLength?: number | undefined;
}

/** What pcapng can say in addition. */
export interface AnnotatedPacket extends CapturedPacket {
  /** Where it was seen, such as a port key. Defaults to `port`. */
  readonly interfaceName?: string | undefined;
  /** As the switch sees it: `in` came from the port's NIC, `out` was sent to it. */
  readonly direction?: "in" | "out" | undefined;
  readonly comment?: string | undefined;
  /** Frames that were lost to the capture since the interface's frame before. Defaults to `0`. */
  readonly missed?: number | undefined;
}

/** The finest unit of a capture's time stamps. */
export type TimeResolution = "microseconds" | "nanoseconds";

/** DLT_EN10MB of the pcap link types: Ethernet. */
export const LINK_TYPE_ETHERNET = 1;
/** The largest snap length that readers accept (libpcap's MAXIMUM_SNAPLEN). */
export const MAX_SNAP_LENGTH = 262_144;

/** The part of a packet that a snap length leaves. */
export function snapped({ data }: CapturedPacket, snapLength: number): Uint8Array {
  return data.length > snapLength ? data.subarray(0, snapLength) : data;
}
