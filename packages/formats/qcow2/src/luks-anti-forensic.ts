import { hash, randomFillSync } from "node:crypto";

/** Hash algorithms of a LUKS header, which go by the same names in OpenSSL. */
export type LuksHash = "sha1" | "sha256" | "sha512";

const DIGEST_BYTES: Readonly<Record<LuksHash, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/**
 * Spreads a key over `stripes` times its length of which every part is needed (LUKS1 on-disk format, section 2.4): overwriting any of it destroys the key,
 * also where a disk keeps old copies of some sectors.
 */
export function splitKey(key: Uint8Array, stripes: number, algorithm: LuksHash): Buffer {
  const split = Buffer.alloc(key.length * stripes);
  const last = split.length - key.length;
  randomFillSync(split, 0, last);
  const mixed = mix(split.subarray(0, last), key.length, algorithm);
  for (let at = 0; at < key.length; at++) split[last + at] = (mixed[at] ?? 0) ^ (key[at] ?? 0);
  return split;
}

/** What `splitKey` spread. Gives some key also for what never was one. */
export function mergeKey(split: Uint8Array, keyBytes: number, algorithm: LuksHash): Buffer {
  const last = split.length - keyBytes;
  const key = mix(split.subarray(0, last), keyBytes, algorithm);
  for (let at = 0; at < keyBytes; at++) key[at] = (key[at] ?? 0) ^ (split[last + at] ?? 0);
  return key;
}

function mix(stripes: Uint8Array, keyBytes: number, algorithm: LuksHash): Buffer {
  const sum = Buffer.alloc(keyBytes);
  for (let stripe = 0; stripe < stripes.length; stripe += keyBytes) {
    for (let at = 0; at < keyBytes; at++) sum[at] = (sum[at] ?? 0) ^ (stripes[stripe + at] ?? 0);
    diffuse(sum, algorithm);
  }
  return sum;
}

/** Replaces each block of a hash's length by the hash of its number and itself. */
function diffuse(block: Buffer, algorithm: LuksHash): void {
  const length = DIGEST_BYTES[algorithm];
  for (let at = 0; at < block.length; at += length) {
    const part = block.subarray(at, at + length);
    const numbered = Buffer.alloc(4 + part.length);
    numbered.writeUInt32BE(at / length);
    part.copy(numbered, 4);
    hash(algorithm, numbered, "buffer").copy(part, 0, 0, part.length);
  }
}
