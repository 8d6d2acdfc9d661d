import type { ImageFile } from "./file-layer.ts";
import type { LuksHash } from "./luks-anti-forensic.ts";
import { LUKS_SECTOR_BYTES } from "./luks-cipher.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** Where an image keeps its encryption header, as the header extension says: bytes from the start of the file. */
export interface EncryptionHeaderPlace {
  readonly offset: number;
  readonly length: number;
}

/** A place for one passphrase. */
export interface LuksSlot {
  readonly index: number;
  readonly active: boolean;
  readonly iterations: number;
  readonly salt: Buffer;
  /** Of the slot's key material, in bytes from the start of the LUKS header. */
  readonly offset: number;
}

/** A LUKS1 header, held against the limits of the format and of its place. */
export interface LuksHeader {
  readonly keyBytes: number;
  readonly hash: LuksHash;
  readonly digest: Buffer;
  readonly digestSalt: Buffer;
  readonly digestIterations: number;
  readonly slots: readonly LuksSlot[];
}

/** What precedes the key material: 208 bytes and eight slots. */
export const LUKS_FIXED_BYTES = 592;
export const LUKS_SLOTS = 8;
/** The only number of stripes that QEMU and cryptsetup write or read. */
export const LUKS_STRIPES = 4000;
export const LUKS_DIGEST_BYTES = 20;
export const LUKS_SALT_BYTES = 32;
/** Above that, trying one passphrase would take minutes: whoever wrote it wants to stall the reader. */
export const LUKS_MAX_ITERATIONS = 100_000_000;

const MAGIC: Buffer = Buffer.from("LUKS\xba\xbe", "latin1");
const SLOT_ACTIVE = 0x00ac_71f3;
const SLOT_INACTIVE = 0x0000_dead;
const SLOT_BYTES = 48;
const FIRST_SLOT_AT = 208;
/** Key material begins at multiples of that, in bytes. */
const MATERIAL_ALIGNMENT = 4096;

/** The bytes of one slot's key material. */
export function luksMaterialBytes(keyBytes: number): number {
  return Math.ceil((keyBytes * LUKS_STRIPES) / LUKS_SECTOR_BYTES) * LUKS_SECTOR_BYTES;
}

function materialOffset(keyBytes: number, slot: number): number {
  const each = Math.ceil(luksMaterialBytes(keyBytes) / MATERIAL_ALIGNMENT) * MATERIAL_ALIGNMENT;
  return MATERIAL_ALIGNMENT + slot * each;
}

/** The length of a header with room for eight passphrases. */
export function luksHeaderBytes(keyBytes: number): number {
  return materialOffset(keyBytes, LUKS_SLOTS);
}

/** The fixed part of a new header, in which no slot is active. `uuid` is its textual form. */
export function encodeLuksHeader(
  header: Pick<LuksHeader, "keyBytes" | "hash" | "digest" | "digestSalt" | "digestIterations">,
  uuid: string,
): Buffer {
  const bytes = Buffer.alloc(LUKS_FIXED_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt16BE(1, 6);
  bytes.write("aes", 8, "latin1");
  bytes.write("xts-plain64", 40, "latin1");
  bytes.write(header.hash, 72, "latin1");
  bytes.writeUInt32BE(luksHeaderBytes(header.keyBytes) / LUKS_SECTOR_BYTES, 104);
  bytes.writeUInt32BE(header.keyBytes, 108);
  header.digest.copy(bytes, 112);
  header.digestSalt.copy(bytes, 132);
  bytes.writeUInt32BE(header.digestIterations, 164);
  bytes.write(uuid, 168, 36, "latin1");
  for (let index = 0; index < LUKS_SLOTS; index++) {
    const slot = { index, iterations: 0, salt: Buffer.alloc(LUKS_SALT_BYTES), active: false };
    encodeSlot({ ...slot, offset: materialOffset(header.keyBytes, index) }).copy(bytes, slotPosition(index));
  }
  return bytes;
}

/** Where a slot lies in the header. Its first four bytes say whether it is active. */
export function slotPosition(index: number): number {
  return FIRST_SLOT_AT + index * SLOT_BYTES;
}

export function encodeSlot(slot: LuksSlot): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  bytes.writeUInt32BE(slot.active ? SLOT_ACTIVE : SLOT_INACTIVE, 0);
  bytes.writeUInt32BE(slot.iterations, 4);
  slot.salt.copy(bytes, 8);
  bytes.writeUInt32BE(slot.offset / LUKS_SECTOR_BYTES, 40);
  bytes.writeUInt32BE(LUKS_STRIPES, 44);
  return bytes;
}

/**
 * Reads the LUKS1 header of an image (LUKS1 on-disk format 1.2.3, section 2; qcow2: "Full disk encryption header"). In an image its payload offset
 * means nothing. Errors: `HEADER_INVALID`, `UNSUPPORTED_FEATURE` for ciphers other than AES-XTS with 64-bit sector numbers.
 */
export function readLuksHeader(file: ImageFile, place: EncryptionHeaderPlace): LuksHeader {
  const invalid = (what: string): Qcow2Error =>
    new Qcow2Error("HEADER_INVALID", `'${file.path}': its encryption header ${what}`);
  const bytes = Buffer.alloc(LUKS_FIXED_BYTES);
  if (place.length < bytes.length || file.readSync(bytes, place.offset) < bytes.length) throw invalid("is too short");
  if (!bytes.subarray(0, 6).equals(MAGIC)) throw invalid("is none of LUKS");
  const version = bytes.readUInt16BE(6);
  const text = (at: number): string => (bytes.toString("latin1", at, at + 32).split("\0")[0] ?? "").toLowerCase();
  const cipher = `${text(8)}-${text(40)}`;
  const hash = text(72);
  const keyBytes = bytes.readUInt32BE(108);
  const known = hash === "sha1" || hash === "sha256" || hash === "sha512";
  if (version !== 1 || cipher !== "aes-xts-plain64" || !known || (keyBytes !== 32 && keyBytes !== 64)) {
    // The names come from the file, so only printable characters of them reach a message.
    const names = `LUKS ${version}, ${cipher}, ${hash}, ${keyBytes * 8} bits`.replace(/[^\x20-\x7e]/g, "?");
    throw new Qcow2Error(
      "UNSUPPORTED_FEATURE",
      `'${file.path}' is encrypted by ${names}; LUKS 1 with aes-xts-plain64, sha1, sha256 or sha512, and 256 or 512 bits is supported`,
    );
  }
  const digestIterations = bytes.readUInt32BE(164);
  if (digestIterations === 0 || digestIterations > LUKS_MAX_ITERATIONS) throw invalid("asks for too much computing");
  const material = luksMaterialBytes(keyBytes);
  const slots: LuksSlot[] = [];
  for (let index = 0; index < LUKS_SLOTS; index++) {
    const at = slotPosition(index);
    const state = bytes.readUInt32BE(at);
    if (state !== SLOT_ACTIVE && state !== SLOT_INACTIVE) throw invalid(`has a key slot ${index} in no known state`);
    const active = state === SLOT_ACTIVE;
    const iterations = bytes.readUInt32BE(at + 4);
    const offset = bytes.readUInt32BE(at + 40) * LUKS_SECTOR_BYTES;
    if (bytes.readUInt32BE(at + 44) !== LUKS_STRIPES) throw invalid(`has a key slot ${index} of other stripes`);
    if (active && (iterations === 0 || iterations > LUKS_MAX_ITERATIONS)) throw invalid("asks for too much computing");
    if (offset < LUKS_FIXED_BYTES || offset + material > place.length) {
      throw invalid(`has the key material of slot ${index} outside itself`);
    }
    if (slots.some((other) => Math.abs(other.offset - offset) < material)) throw invalid("has key slots that overlap");
    const salt = Buffer.from(bytes.subarray(at + 8, at + 8 + LUKS_SALT_BYTES));
    slots.push({ index, active, iterations, salt, offset });
  }
  return {
    keyBytes,
    hash,
    digest: Buffer.from(bytes.subarray(112, 112 + LUKS_DIGEST_BYTES)),
    digestSalt: Buffer.from(bytes.subarray(132, 132 + LUKS_SALT_BYTES)),
    digestIterations,
    slots,
  };
}
