import type { UdpAddress } from "./vxlan-endpoint.ts";
import { fixedMemory, type UdpSystemCalls } from "./udp-system-calls.ts";

/** Layouts of 64-bit little-endian Linux: `struct mmsghdr`, `struct iovec`, `struct sockaddr_in`, and a control message of 16 bits. */
const MESSAGE_BYTES = 64;
const NAME_AT = 0;
const NAME_LENGTH_AT = 8;
const VECTOR_AT = 16;
const VECTOR_COUNT_AT = 24;
const CONTROL_AT = 32;
const CONTROL_LENGTH_AT = 40;
const OCTETS_AT = 56;
const VECTOR_BYTES = 16;
const NAME_BYTES = 16;
const CONTROL_BYTES = 24;
const CONTROL_MESSAGE_BYTES = 18;
const AF_INET = 2;
/** From linux/udp.h: the length at which the kernel cuts a message into datagrams. */
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/**
 * An array of `struct mmsghdr`, each with one piece of memory, an IPv4 address, and room for a segment length: what sendmmsg(2) and
 * recvmmsg(2) take.
 */
export class MessageHeaders {
  readonly #messages: Buffer;
  readonly #vectors: Buffer;
  readonly #names: Buffer;
  readonly #controls: Buffer;
  readonly #controlsAt: number;
  readonly #memoryAt: number;

  /** `memory` holds all that the messages carry; it comes from `fixedMemory`. */
  constructor(calls: UdpSystemCalls, count: number, memory: Buffer) {
    this.#messages = fixedMemory(count * MESSAGE_BYTES);
    this.#vectors = fixedMemory(count * VECTOR_BYTES);
    this.#names = fixedMemory(count * NAME_BYTES);
    this.#controls = fixedMemory(count * CONTROL_BYTES);
    this.#controlsAt = calls.addressOf(this.#controls);
    this.#memoryAt = calls.addressOf(memory);
    const [namesAt, vectorsAt] = [calls.addressOf(this.#names), calls.addressOf(this.#vectors)];
    for (let index = 0; index < count; index += 1) {
      const message = index * MESSAGE_BYTES;
      writePointer(this.#messages, namesAt + index * NAME_BYTES, message + NAME_AT);
      writePointer(this.#messages, vectorsAt + index * VECTOR_BYTES, message + VECTOR_AT);
      this.#messages.writeUInt32LE(1, message + VECTOR_COUNT_AT);
      this.expectName(index);
      const control = index * CONTROL_BYTES;
      this.#controls.writeUInt32LE(CONTROL_MESSAGE_BYTES, control);
      this.#controls.writeInt32LE(SOL_UDP, control + 8);
      this.#controls.writeInt32LE(UDP_SEGMENT, control + 12);
    }
  }

  /** The messages from `index` on, for a system call. */
  from(index: number): Buffer {
    return index === 0 ? this.#messages : this.#messages.subarray(index * MESSAGE_BYTES);
  }

  /** Where a message's octets are in the memory. */
  setMemory(index: number, offset: number, octets: number): void {
    writePointer(this.#vectors, this.#memoryAt + offset, index * VECTOR_BYTES);
    this.#vectors.writeUInt32LE(octets, index * VECTOR_BYTES + 8);
  }

  /** Has the kernel cut a message into datagrams of this length, the last maybe shorter; undefined sends it as one. */
  setSegment(index: number, octets: number | undefined): void {
    const message = index * MESSAGE_BYTES;
    const control = index * CONTROL_BYTES;
    writePointer(this.#messages, octets === undefined ? 0 : this.#controlsAt + control, message + CONTROL_AT);
    this.#messages.writeUInt32LE(octets === undefined ? 0 : CONTROL_BYTES, message + CONTROL_LENGTH_AT);
    this.#controls.writeUInt16LE(octets ?? 0, control + 16);
  }

  /** Sets where a message goes: what `encodeIpv4` returned. */
  setName(index: number, encoded: Buffer): void {
    encoded.copy(this.#names, index * NAME_BYTES);
  }

  /** Says that there is room for a name, before a message is received. */
  expectName(index: number): void {
    this.#messages.writeUInt32LE(NAME_BYTES, index * MESSAGE_BYTES + NAME_LENGTH_AT);
  }

  /** Where a message came from, as a number: its address, then its port. */
  nameKey(index: number): number {
    const at = index * NAME_BYTES;
    return this.#names.readUInt32BE(at + 4) * 0x1_0000 + this.#names.readUInt16BE(at + 2);
  }

  /** How long a message was that was received. */
  octets(index: number): number {
    return this.#messages.readUInt32LE(index * MESSAGE_BYTES + OCTETS_AT);
  }
}

/** `struct sockaddr_in`; undefined when the address isn't IPv4. */
export function encodeIpv4({ address, port }: UdpAddress): Buffer | undefined {
  const octets = address.split(".").map(Number);
  if (octets.length !== 4 || octets.some((octet) => !Number.isInteger(octet) || octet < 0 || octet > 255))
    return undefined;
  const encoded = Buffer.alloc(NAME_BYTES);
  encoded.writeUInt16LE(AF_INET, 0);
  encoded.writeUInt16BE(port, 2);
  encoded.set(octets, 4);
  return encoded;
}

/** What `nameKey` says, in words. */
export function decodeIpv4(key: number): UdpAddress {
  const [address, port] = [Math.floor(key / 0x1_0000), key % 0x1_0000];
  return { address: [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join("."), port };
}

/** Addresses of memory are below 2^47, so a number holds them. */
function writePointer(buffer: Buffer, address: number, at: number): void {
  buffer.writeUInt32LE(address % 0x1_0000_0000, at);
  buffer.writeUInt32LE(Math.floor(address / 0x1_0000_0000), at + 4);
}
