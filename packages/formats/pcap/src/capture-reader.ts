import { type AnnotatedPacket, MAX_SNAP_LENGTH } from "./captured-packet.ts";
import { PcapError } from "./pcap-error.ts";

/** A capture file's content. */
export interface Capture {
  readonly format: "pcap" | "pcapng";
  readonly packets: readonly AnnotatedPacket[];
}

/**
 * Reads a pcap or pcapng file of Ethernet frames, either byte order, microseconds or nanoseconds. Frames are views into `bytes`. Throws
 * `MALFORMED` for anything else, also for a file that ends within a packet. Takes time and memory in proportion to `bytes`.
 */
export function readCapture(bytes: Buffer): Capture {
  if (bytes.length < 24) throw malformed("shorter than any capture file");
  const magic = bytes.readUInt32BE(0);
  if (magic === 0x0a0d_0d0a) return { format: "pcapng", packets: readPcapng(bytes) };
  const kind = PCAP_MAGIC.get(magic);
  if (kind === undefined) throw malformed("neither pcap nor pcapng");
  return { format: "pcap", packets: readPcap(bytes, kind) };
}

interface PcapKind {
  readonly littleEndian: boolean;
  readonly unitNs: bigint;
}

const PCAP_MAGIC: ReadonlyMap<number, PcapKind> = new Map([
  [0xa1b2_c3d4, { littleEndian: false, unitNs: 1000n }],
  [0xd4c3_b2a1, { littleEndian: true, unitNs: 1000n }],
  [0xa1b2_3c4d, { littleEndian: false, unitNs: 1n }],
  [0x4d3c_b2a1, { littleEndian: true, unitNs: 1n }],
]);

function readPcap(bytes: Buffer, { littleEndian, unitNs }: PcapKind): AnnotatedPacket[] {
  const u32 = (at: number): number => (littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  if ((u32(20) & 0xffff) !== 1) throw malformed("not of Ethernet frames");
  const packets: AnnotatedPacket[] = [];
  for (let at = 24; at < bytes.length; ) {
    if (at + 16 > bytes.length) throw malformed(`a packet header at ${at} is cut short`);
    const length = u32(at + 8);
    const end = at + 16 + length;
    if (length > MAX_SNAP_LENGTH || end > bytes.length) throw malformed(`a packet at ${at} of ${length} octets`);
    packets.push({
      data: bytes.subarray(at + 16, end),
      timeNs: BigInt(u32(at)) * 1_000_000_000n + BigInt(u32(at + 4)) * unitNs,
      originalLength: u32(at + 12),
    });
    at = end;
  }
  return packets;
}

interface CapturedInterface {
  readonly name: string | undefined;
  readonly ethernet: boolean;
  /** Nanoseconds of one tick. */
  readonly unitNs: bigint;
}

function readPcapng(bytes: Buffer): AnnotatedPacket[] {
  const packets: AnnotatedPacket[] = [];
  let interfaces: CapturedInterface[] = [];
  let reader = new BlockReader(bytes, true);
  for (let at = 0; at < bytes.length; ) {
    if (at + 12 > bytes.length) throw malformed(`a block at ${at} is cut short`);
    const section = bytes.readUInt32BE(at) === 0x0a0d_0d0a;
    if (section) {
      const order = bytes.readUInt32BE(at + 8);
      if (order !== 0x1a2b_3c4d && order !== 0x4d3c_2b1a) throw malformed(`a section at ${at} of no byte order`);
      reader = new BlockReader(bytes, order === 0x4d3c_2b1a);
      interfaces = [];
    }
    const length = reader.u32(at + 4);
    const end = at + length;
    if (length < 12 || length % 4 !== 0 || end > bytes.length || reader.u32(end - 4) !== length) {
      throw malformed(`a block at ${at} of ${length} octets`);
    }
    const type = reader.u32(at);
    if (type === 1) interfaces.push(reader.interface(at + 8, end - 4));
    else if (type === 6) packets.push(reader.packet({ at: at + 8, end: end - 4, interfaces }));
    at = end;
  }
  return packets;
}

class BlockReader {
  readonly #bytes: Buffer;
  readonly #littleEndian: boolean;

  constructor(bytes: Buffer, littleEndian: boolean) {
    this.#bytes = bytes;
    this.#littleEndian = littleEndian;
  }

  u32(at: number): number {
    return this.#littleEndian ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  interface(at: number, end: number): CapturedInterface {
    if (end - at < 8) throw malformed(`an interface at ${at} is cut short`);
    const options = this.#options(at + 8, end);
    const resolution = options.get(9)?.at(0) ?? 6;
    // Decimal digits of a second; powers of two (the upper bit) are of no writer that we read.
    if (resolution > 9) throw malformed(`an interface at ${at} with time stamps of resolution ${resolution}`);
    return {
      name: options.get(2)?.toString(),
      ethernet: this.#u16(at) === 1,
      unitNs: 10n ** BigInt(9 - resolution),
    };
  }

  packet(place: { at: number; end: number; interfaces: readonly CapturedInterface[] }): AnnotatedPacket {
    const { at, end, interfaces } = place;
    if (end - at < 20) throw malformed(`a packet at ${at} is cut short`);
    const from = interfaces[this.u32(at)];
    if (from === undefined) throw malformed(`a packet at ${at} of an interface that is not described`);
    if (!from.ethernet) throw malformed(`a packet at ${at} that is not an Ethernet frame`);
    const length = this.u32(at + 12);
    const data = at + 20;
    if (data + length > end) throw malformed(`a packet at ${at} of ${length} octets`);
    const options = this.#options(data + length + (-length & 3), end);
    const flags = options.get(2);
    const missed = options.get(4);
    const direction = flags?.length === 4 ? DIRECTIONS[this.#u32of(flags) & 3] : undefined;
    return {
      data: this.#bytes.subarray(data, data + length),
      timeNs: ((BigInt(this.u32(at + 4)) << 32n) | BigInt(this.u32(at + 8))) * from.unitNs,
      originalLength: this.u32(at + 16),
      interfaceName: from.name,
      direction,
      comment: options.get(1)?.toString(),
      missed: missed?.length === 8 ? Number(this.#u64of(missed)) : undefined,
    };
  }

  #options(from: number, end: number): Map<number, Buffer> {
    const options = new Map<number, Buffer>();
    for (let at = from; at + 4 <= end; ) {
      const code = this.#u16(at);
      const length = this.#u16(at + 2);
      if (code === 0) break;
      if (at + 4 + length > end) throw malformed(`an option at ${at} of ${length} octets`);
      options.set(code, this.#bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length + (-length & 3);
    }
    return options;
  }

  #u16(at: number): number {
    return this.#littleEndian ? this.#bytes.readUInt16LE(at) : this.#bytes.readUInt16BE(at);
  }

  #u64of(value: Buffer): bigint {
    return this.#littleEndian ? value.readBigUInt64LE(0) : value.readBigUInt64BE(0);
  }

  #u32of(value: Buffer): number {
    return this.#littleEndian ? value.readUInt32LE(0) : value.readUInt32BE(0);
  }
}

const DIRECTIONS: readonly (AnnotatedPacket["direction"] | undefined)[] = [undefined, "in", "out", undefined];

function malformed(what: string): PcapError {
  return new PcapError("MALFORMED", `this is not a capture file that can be read: ${what}`);
}
