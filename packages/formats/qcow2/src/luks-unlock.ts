import { pbkdf2, pbkdf2Sync, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { ImageFile } from "./file-layer.ts";
import { type LuksHash, mergeKey, splitKey } from "./luks-anti-forensic.ts";
import { LuksCipher } from "./luks-cipher.ts";
import {
  type EncryptionHeaderPlace,
  encodeLuksHeader,
  encodeSlot,
  LUKS_DIGEST_BYTES,
  LUKS_MAX_ITERATIONS,
  LUKS_SALT_BYTES,
  type LuksHeader,
  type LuksSlot,
  luksHeaderBytes,
  luksMaterialBytes,
  readLuksHeader,
  slotPosition,
} from "./luks-header.ts";
import { Qcow2Error } from "./qcow2-error.ts";

const derive = promisify(pbkdf2);

/** AES-256-XTS: two keys of 256 bits. */
const KEY_BYTES = 64;
/** What a passphrase costs to try, when the caller does not say: as OWASP advises for PBKDF2 with SHA-256. A few tenths of a second. */
const DEFAULT_ITERATIONS = 600_000;
/** The master key is random, so its digest needs no more than the format's minimum. */
const DIGEST_ITERATIONS = 1000;

/** How a passphrase is kept. */
export interface PassphraseOptions {
  /** Of PBKDF2, from 1000 to 100 million: what trying one passphrase costs. Defaults to 600,000; a random passphrase of 32 bytes needs none of that. */
  readonly iterations?: number;
}

/** How a new image is encrypted: LUKS1 with AES-256-XTS, which QEMU opens with `encrypt.format=luks`. */
export interface NewEncryption extends PassphraseOptions {
  /** 1 to 512 bytes, as they are. Nothing keeps it: whoever loses it loses the disk. */
  readonly passphrase: Uint8Array;
}

/** A new encryption header: its length, and the bytes that it begins with. The rest is zeroes. */
export interface LuksDraft {
  readonly length: number;
  readonly bytes: Buffer;
}

/** Throws `INVALID_ARGUMENT` for what can't be a passphrase or its cost. Returns the cost. */
export function checkPassphrase(passphrase: Uint8Array, options: PassphraseOptions): number {
  const { iterations = DEFAULT_ITERATIONS } = options;
  // QEMU has no limit, and cryptsetup one of 512 bytes.
  if (!(passphrase instanceof Uint8Array) || passphrase.length === 0 || passphrase.length > 512) {
    throw new Qcow2Error("INVALID_ARGUMENT", "a passphrase has 1 to 512 bytes");
  }
  if (!Number.isInteger(iterations) || iterations < 1000 || iterations > LUKS_MAX_ITERATIONS) {
    throw new Qcow2Error("INVALID_ARGUMENT", `${iterations} iterations are not between 1000 and 100 million`);
  }
  return iterations;
}

/** The header of a new image. Errors: `INVALID_ARGUMENT`. */
export async function draftLuks(encryption: NewEncryption): Promise<LuksDraft> {
  const iterations = checkPassphrase(encryption.passphrase, encryption);
  const salt = randomBytes(LUKS_SALT_BYTES);
  const slotKey = await derive(encryption.passphrase, salt, iterations, KEY_BYTES, "sha256");
  return composeDraft(slotKey, salt, iterations);
}

/** As `draftLuks`, blocking the thread while it computes. */
export function draftLuksSync(encryption: NewEncryption): LuksDraft {
  const iterations = checkPassphrase(encryption.passphrase, encryption);
  const salt = randomBytes(LUKS_SALT_BYTES);
  return composeDraft(pbkdf2Sync(encryption.passphrase, salt, iterations, KEY_BYTES, "sha256"), salt, iterations);
}

function composeDraft(slotKey: Buffer, salt: Buffer, iterations: number): LuksDraft {
  const hash: LuksHash = "sha256";
  const masterKey = randomBytes(KEY_BYTES);
  const digestSalt = randomBytes(LUKS_SALT_BYTES);
  const digest = pbkdf2Sync(masterKey, digestSalt, DIGEST_ITERATIONS, LUKS_DIGEST_BYTES, hash);
  const fixed = encodeLuksHeader(
    { keyBytes: KEY_BYTES, hash, digest, digestSalt, digestIterations: DIGEST_ITERATIONS },
    randomUUID(),
  );
  const offset = fixed.readUInt32BE(slotPosition(0) + 40) * 512;
  encodeSlot({ index: 0, active: true, iterations, salt, offset }).copy(fixed, slotPosition(0));
  const bytes = Buffer.alloc(offset + luksMaterialBytes(KEY_BYTES));
  fixed.copy(bytes);
  sealKey(masterKey, slotKey, hash).copy(bytes, offset);
  masterKey.fill(0);
  slotKey.fill(0);
  return { length: luksHeaderBytes(KEY_BYTES), bytes };
}

/** The key material by which a slot keeps the master key. */
export function sealKey(masterKey: Buffer, slotKey: Buffer, hash: LuksHash): Buffer {
  const split = splitKey(masterKey, 4000, hash);
  const material = Buffer.alloc(luksMaterialBytes(masterKey.length));
  split.copy(material);
  new LuksCipher(slotKey).encrypt(material, material, 0);
  split.fill(0);
  return material;
}

/** A slot that a passphrase opens, and what is in it. */
export interface OpenedSlot {
  readonly slot: LuksSlot;
  readonly masterKey: Buffer;
}

/**
 * Tries a passphrase on the active slots, off the main thread where it is long. `undefined` when it opens none. Whoever calls erases the master key.
 * Errors: `HEADER_INVALID`, `UNSUPPORTED_FEATURE`.
 */
export async function openSlot(
  file: ImageFile,
  place: EncryptionHeaderPlace,
  header: LuksHeader,
  passphrase: Uint8Array,
): Promise<OpenedSlot | undefined> {
  for (const slot of header.slots) {
    if (!slot.active) continue;
    const slotKey = await derive(passphrase, slot.salt, slot.iterations, header.keyBytes, header.hash);
    const material = Buffer.alloc(luksMaterialBytes(header.keyBytes));
    file.readSync(material, place.offset + slot.offset);
    new LuksCipher(slotKey).decrypt(material, material, 0);
    slotKey.fill(0);
    const masterKey = mergeKey(material.subarray(0, header.keyBytes * 4000), header.keyBytes, header.hash);
    material.fill(0);
    const { digestSalt, digestIterations, hash } = header;
    const digest = await derive(masterKey, digestSalt, digestIterations, LUKS_DIGEST_BYTES, hash);
    if (timingSafeEqual(digest, header.digest)) return { slot, masterKey };
    masterKey.fill(0);
  }
  return undefined;
}

/** What opens an image: a passphrase, or several of which one does, as while it is being changed. They are tried in order. */
export type PassphraseChoice = Uint8Array | readonly Uint8Array[];

/** The passphrase of an image, or what knows it by the image's path; `undefined` when there is none. */
export type ImagePassphrase = PassphraseChoice | ((imagePath: string) => PassphraseChoice | undefined);

/** Throws `ENCRYPTED` where there is no passphrase. */
export function passphrasesFor(file: ImageFile, passphrase: ImagePassphrase | undefined): readonly Uint8Array[] {
  const choice = typeof passphrase === "function" ? passphrase(file.path) : passphrase;
  const found = choice instanceof Uint8Array ? [choice] : (choice ?? []);
  if (found.length === 0) {
    throw new Qcow2Error(
      "ENCRYPTED",
      `'${file.path}' is encrypted with LUKS (crypt_method 2), and no passphrase was given`,
      {
        details: { encryption: "luks" },
      },
    );
  }
  return found;
}

/**
 * What decrypts an image. Errors: `ENCRYPTED` without a passphrase, `WRONG_PASSPHRASE`, `HEADER_INVALID`, `UNSUPPORTED_FEATURE`.
 */
export async function unlock(
  file: ImageFile,
  place: EncryptionHeaderPlace | undefined,
  passphrase: ImagePassphrase | undefined,
): Promise<LuksCipher> {
  const given = passphrasesFor(file, passphrase);
  if (place === undefined) throw new Qcow2Error("HEADER_INVALID", `'${file.path}' does not say where its keys are`);
  // Twice, and the header read anew each time: another process may be changing one of them to another.
  for (const candidate of given.length > 1 ? [...given, ...given] : given) {
    const opened = await openSlot(file, place, readLuksHeader(file, place), candidate);
    if (opened === undefined) continue;
    const cipher = new LuksCipher(opened.masterKey);
    opened.masterKey.fill(0);
    return cipher;
  }
  throw wrongPassphrase(file.path);
}

export function wrongPassphrase(path: string): Qcow2Error {
  return new Qcow2Error("WRONG_PASSPHRASE", `the passphrase given for '${path}' is none of its own`);
}
