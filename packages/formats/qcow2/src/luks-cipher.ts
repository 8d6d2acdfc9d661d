import { type Cipheriv, createCipheriv, createDecipheriv } from "node:crypto";
import { endianness } from "node:os";
import { Qcow2Error } from "./qcow2-error.ts";

/** The unit of encryption: each sector is encrypted by itself, with its number as the tweak. */
export const LUKS_SECTOR_BYTES = 512;

const WORDS_PER_SECTOR: number = LUKS_SECTOR_BYTES / 4;
/** How much is encrypted at once. */
const PIECE_BYTES: number = 64 * 1024;

// One cipher works for one thread and is never interrupted, so all of them share this memory.
const work: Uint32Array = new Uint32Array(PIECE_BYTES / 4);
const workBytes: Buffer = Buffer.from(work.buffer);
const tweaks: Uint32Array = new Uint32Array(PIECE_BYTES / 4);
const numbers: Uint32Array = new Uint32Array((PIECE_BYTES / LUKS_SECTOR_BYTES) * 4);
const numberBytes: Buffer = Buffer.from(numbers.buffer);

/**
 * AES-XTS over sectors of 512 bytes, with the number of a sector as its 64-bit little-endian tweak (IEEE 1619; `aes-xts-plain64` of LUKS and dm-crypt).
 *
 * OpenSSL's own XTS takes one tweak for each cipher object, so every sector would need an object of its own, which costs thirty times what its bytes cost.
 * This one has OpenSSL encrypt whole runs of blocks with AES, and does what XTS adds to that, two exclusive-ors with a tweak, by itself.
 */
export class LuksCipher {
  readonly #encryptor: Cipheriv;
  readonly #decryptor: Cipheriv;
  readonly #tweaker: Cipheriv;

  /** `key` has 32 or 64 bytes: AES-128 or AES-256, a half for the data and a half for the tweaks. It may be erased afterwards. */
  constructor(key: Uint8Array) {
    if (endianness() !== "LE") {
      throw new Qcow2Error("UNSUPPORTED_FEATURE", "encryption needs a processor that stores the low byte first");
    }
    const half = key.length / 2;
    const algorithm = `aes-${half * 8}-ecb`;
    const data = key.subarray(0, half);
    this.#encryptor = createCipheriv(algorithm, data, null).setAutoPadding(false);
    // A decipher has the same methods as a cipher here.
    this.#decryptor = createDecipheriv(algorithm, data, null).setAutoPadding(false) as unknown as Cipheriv;
    this.#tweaker = createCipheriv(algorithm, key.subarray(half), null).setAutoPadding(false);
  }

  /** Encrypts whole sectors from `source` into `target`, which may be the same memory. */
  encrypt(source: Uint8Array, target: Uint8Array, firstSector: number): void {
    this.#run(this.#encryptor, source, target, firstSector);
  }

  /** Decrypts whole sectors from `source` into `target`, which may be the same memory. */
  decrypt(source: Uint8Array, target: Uint8Array, firstSector: number): void {
    this.#run(this.#decryptor, source, target, firstSector);
  }

  #run(cipher: Cipheriv, source: Uint8Array, target: Uint8Array, firstSector: number): void {
    for (let done = 0; done < source.length; done += PIECE_BYTES) {
      const piece = source.subarray(done, done + PIECE_BYTES);
      const words = piece.length / 4;
      workBytes.set(piece);
      this.#whiten(piece.length / LUKS_SECTOR_BYTES, firstSector + done / LUKS_SECTOR_BYTES);
      // In place of what was given in, so that no clear text of a guest stays behind here.
      workBytes.set(cipher.update(workBytes.subarray(0, piece.length)));
      for (let at = 0; at < words; at++) work[at] = (work[at] as number) ^ (tweaks[at] as number);
      target.set(workBytes.subarray(0, piece.length), done);
    }
    workBytes.fill(0, 0, Math.min(source.length, PIECE_BYTES));
  }

  /** Fills `tweaks` for so many sectors, and mixes them into `work`. Each block's tweak is the one before it times x in GF(2^128). */
  #whiten(sectors: number, firstSector: number): void {
    for (let sector = 0; sector < sectors; sector++) {
      const number = firstSector + sector;
      numbers[sector * 4] = number % 2 ** 32;
      numbers[sector * 4 + 1] = Math.floor(number / 2 ** 32);
    }
    const first = this.#tweaker.update(numberBytes.subarray(0, sectors * 16));
    for (let sector = 0, at = 0; sector < sectors; sector++) {
      let t0 = first.readInt32LE(sector * 16);
      let t1 = first.readInt32LE(sector * 16 + 4);
      let t2 = first.readInt32LE(sector * 16 + 8);
      let t3 = first.readInt32LE(sector * 16 + 12);
      for (const end = at + WORDS_PER_SECTOR; at < end; at += 4) {
        tweaks[at] = t0;
        tweaks[at + 1] = t1;
        tweaks[at + 2] = t2;
        tweaks[at + 3] = t3;
        work[at] = (work[at] as number) ^ t0;
        work[at + 1] = (work[at + 1] as number) ^ t1;
        work[at + 2] = (work[at + 2] as number) ^ t2;
        work[at + 3] = (work[at + 3] as number) ^ t3;
        const carry = (t3 >> 31) & 0x87;
        t3 = (t3 << 1) | (t2 >>> 31);
        t2 = (t2 << 1) | (t1 >>> 31);
        t1 = (t1 << 1) | (t0 >>> 31);
        t0 = (t0 << 1) ^ carry;
      }
    }
  }
}
