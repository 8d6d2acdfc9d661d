import {
  type CapturedPacket,
  LINK_TYPE_ETHERNET,
  MAX_SNAP_LENGTH,
  snapped,
  type TimeResolution,
} from "./captured-packet.ts";

export interface PcapOptions {
  /** Defaults to `nanoseconds`. */
  readonly resolution?: TimeResolution | undefined;
  /** Longer frames are cut to this many octets. Defaults to {@link MAX_SNAP_LENGTH}. */
  readonly snapLength?: number | undefined;
}

const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS = 0xa1b2_3c4d;

/**
 * Makes the bytes of a pcap file (draft-ietf-opsawg-pcap): `header` once, then one `packet` after another. Keeps no packet. Big-endian,
 * version 2.4, Ethernet. Times wrap in 2106.
 */
export class PcapWriter {
  readonly #nanoseconds: boolean;
  readonly #snapLength: number;

  constructor({ resolution = "nanoseconds", snapLength = MAX_SNAP_LENGTH }: PcapOptions = {}) {
    this.#nanoseconds = resolution === "nanoseconds";
    this.#snapLength = snapLength;
  }

  header(): Buffer {
    const header = Buffer.alloc(24);
    header.writeUInt32BE(this.#nanoseconds ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS, 0);
    header.writeUInt16BE(2, 4);
    header.writeUInt16BE(4, 6);
    header.writeUInt32BE(this.#snapLength, 16);
    header.writeUInt32BE(LINK_TYPE_ETHERNET, 20);
    return header;
  }

  packet(packet: CapturedPacket): Buffer {
    const data = snapped(packet, this.#snapLength);
    const record = Buffer.allocUnsafe(16 + data.length);
    const { timeNs } = packet;
    record.writeUInt32BE(Number((timeNs / 1_000_000_000n) & 0xffff_ffffn), 0);
    record.writeUInt32BE(Number(timeNs % 1_000_000_000n) / (this.#nanoseconds ? 1 : 1000), 4);
    record.writeUInt32BE(data.length, 8);
    record.writeUInt32BE(Math.max(packet.originalLength ?? 0, packet.data.length), 12);
    record.set(data, 16);
    return record;
  }
}

/** The bytes of a pcap file, piece by piece, as packets come. */
export async function* pcapFile(
  packets: AsyncIterable<CapturedPacket> | Iterable<CapturedPacket>,
  options: PcapOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const writer = new PcapWriter(options);
  yield writer.header();
  for await (const packet of packets) yield writer.packet(packet);
}
