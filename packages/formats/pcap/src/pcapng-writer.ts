import {
  type AnnotatedPacket,
  LINK_TYPE_ETHERNET,
  MAX_SNAP_LENGTH,
  snapped,
  type TimeResolution,
} from "./captured-packet.ts";

export interface PcapngOptions {
  /** Defaults to `nanoseconds`. */
  readonly resolution?: TimeResolution | undefined;
  /** Longer frames are cut to this many octets. Defaults to {@link MAX_SNAP_LENGTH}. */
  readonly snapLength?: number | undefined;
  /** What made the file. Defaults to `VDC-OS`. */
  readonly application?: string | undefined;
  /** About the whole file. */
  readonly comment?: string | undefined;
}

export interface PcapngInterface {
  readonly name: string;
  readonly description?: string | undefined;
  /** 6 octets. */
  readonly macAddress?: Uint8Array | undefined;
}

const SECTION_HEADER = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;

const OPTION_COMMENT = 1;
const OPTION_USER_APPLICATION = 4;
const OPTION_INTERFACE_NAME = 2;
const OPTION_INTERFACE_DESCRIPTION = 3;
const OPTION_INTERFACE_MAC = 6;
const OPTION_TIME_RESOLUTION = 9;
const OPTION_PACKET_FLAGS = 2;
const OPTION_DROP_COUNT = 4;

const FLAG_INBOUND = 1;
const FLAG_OUTBOUND = 2;

/** Longer texts are cut: an option's length has 16 bits. */
const MAX_TEXT_BYTES = 0xfff0;

/**
 * Makes the bytes of a pcapng file (draft-ietf-opsawg-pcapng): `header` once, then packets. An interface is described before its first
 * packet. Keeps the interfaces' names, no packet. Little-endian.
 */
export class PcapngWriter {
  readonly #options: PcapngOptions;
  readonly #snapLength: number;
  readonly #nanoseconds: boolean;
  readonly #interfaces = new Map<string, number>();

  constructor(options: PcapngOptions = {}) {
    this.#options = options;
    this.#snapLength = options.snapLength ?? MAX_SNAP_LENGTH;
    this.#nanoseconds = (options.resolution ?? "nanoseconds") === "nanoseconds";
  }

  header(): Buffer {
    const body = Buffer.alloc(16);
    body.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
    body.writeUInt16LE(1, 4);
    // The section's length isn't known while it is streamed.
    body.writeBigInt64LE(-1n, 8);
    const { comment, application = "VDC-OS" } = this.#options;
    return block(SECTION_HEADER, [
      body,
      ...(comment === undefined ? [] : [textOption(OPTION_COMMENT, comment)]),
      textOption(OPTION_USER_APPLICATION, application),
      END_OF_OPTIONS,
    ]);
  }

  /** Describes an interface; empty when one of that name was described before. Packets describe theirs by themselves. */
  describeInterface({ name, description, macAddress }: PcapngInterface): Buffer {
    if (this.#interfaces.has(name)) return Buffer.alloc(0);
    this.#interfaces.set(name, this.#interfaces.size);
    const body = Buffer.alloc(8);
    body.writeUInt16LE(LINK_TYPE_ETHERNET, 0);
    body.writeUInt32LE(this.#snapLength, 4);
    return block(INTERFACE_DESCRIPTION, [
      body,
      textOption(OPTION_INTERFACE_NAME, name),
      ...(description === undefined ? [] : [textOption(OPTION_INTERFACE_DESCRIPTION, description)]),
      ...(macAddress?.length === 6 ? [option(OPTION_INTERFACE_MAC, macAddress)] : []),
      option(OPTION_TIME_RESOLUTION, Buffer.from([this.#nanoseconds ? 9 : 6])),
      END_OF_OPTIONS,
    ]);
  }

  /** A packet; the description of its interface stands before it when it is the interface's first. */
  packet(packet: AnnotatedPacket): Buffer {
    const name = packet.interfaceName ?? "port";
    const description = this.describeInterface({ name });
    const data = snapped(packet, this.#snapLength);
    const time = this.#nanoseconds ? packet.timeNs : packet.timeNs / 1000n;
    const body = Buffer.alloc(20);
    body.writeUInt32LE(this.#interfaces.get(name) ?? 0, 0);
    body.writeUInt32LE(Number((time >> 32n) & 0xffff_ffffn), 4);
    body.writeUInt32LE(Number(time & 0xffff_ffffn), 8);
    body.writeUInt32LE(data.length, 12);
    body.writeUInt32LE(Math.max(packet.originalLength ?? 0, packet.data.length), 16);
    const options: Buffer[] = [];
    if (packet.comment !== undefined) options.push(textOption(OPTION_COMMENT, packet.comment));
    if (packet.direction !== undefined) {
      const flags = Buffer.alloc(4);
      flags.writeUInt32LE(packet.direction === "in" ? FLAG_INBOUND : FLAG_OUTBOUND);
      options.push(option(OPTION_PACKET_FLAGS, flags));
    }
    if (packet.missed !== undefined && packet.missed > 0) {
      const count = Buffer.alloc(8);
      count.writeBigUInt64LE(BigInt(Math.floor(packet.missed)));
      options.push(option(OPTION_DROP_COUNT, count));
    }
    if (options.length > 0) options.push(END_OF_OPTIONS);
    const record = block(ENHANCED_PACKET, [body, data, padding(data.length), ...options]);
    return description.length === 0 ? record : Buffer.concat([description, record]);
  }
}

/** The bytes of a pcapng file, piece by piece, as packets come. */
export async function* pcapngFile(
  packets: AsyncIterable<AnnotatedPacket> | Iterable<AnnotatedPacket>,
  options: PcapngOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const writer = new PcapngWriter(options);
  yield writer.header();
  for await (const packet of packets) yield writer.packet(packet);
}

const END_OF_OPTIONS: Buffer = Buffer.alloc(4);

function block(type: number, parts: readonly Uint8Array[]): Buffer {
  const length = 12 + parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, ...parts, head.subarray(4)]);
}

function option(code: number, value: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, value, padding(value.length)]);
}

function textOption(code: number, text: string): Buffer {
  return option(code, Buffer.from(text).subarray(0, MAX_TEXT_BYTES));
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
