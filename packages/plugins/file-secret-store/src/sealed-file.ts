import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from "node:crypto";
import { VdcError } from "@vdc-os/core";
import { z } from "zod";
import type { SecretKey } from "./secret-key.ts";

const format = "vdc-secrets/1";

/** How the wrapping key comes from a passphrase (RFC 7914). 128 x cost x 8 bytes of memory are used. */
interface Derivation {
  readonly cost: number;
  readonly salt: string;
}

/** What stands in the file in the clear. All of it is authenticated with the data. */
interface Header {
  readonly format: typeof format;
  /** Absent for a raw key. */
  readonly scrypt?: Derivation | undefined;
  /** Tells a wrong key from a damaged file. */
  readonly keyCheck: string;
  /** The data key, encrypted with the wrapping key. */
  readonly wrapped: string;
}

const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);

const sealed = z.strictObject({
  format: z.literal(format),
  // The file is not trusted: a cost from it may not take all the machine's memory.
  scrypt: z
    .strictObject({
      cost: z
        .int()
        .min(2)
        .max(2 ** 20),
      salt: base64,
    })
    .optional(),
  keyCheck: base64,
  wrapped: base64,
  data: base64,
  /** SHA-256 of all before it: finds damage before any key is tried. */
  checksum: base64,
});

/** An unlocked file: what it takes to seal it again. */
export interface Unlocked {
  readonly header: Header;
  readonly dataKey: Buffer;
}

/** Options of {@link createSeal}. */
export interface CreateSealOptions {
  /** The cost of scrypt, a power of two. Defaults to 2^17: 128 MiB and about half a second. */
  readonly scryptCost?: number | undefined;
}

/** Makes the seal of a new file: a random data key, wrapped by the caller's key. */
export async function createSeal(key: SecretKey, options: CreateSealOptions = {}): Promise<Unlocked> {
  const derivation =
    key.kind === "raw" ? undefined : { cost: options.scryptCost ?? 2 ** 17, salt: randomBytes(16).toString("base64") };
  const wrappingKey = await wrappingKeyOf(key, derivation);
  const dataKey = randomBytes(32);
  const header: Header = {
    format,
    ...(derivation === undefined ? {} : { scrypt: derivation }),
    keyCheck: keyCheckOf(wrappingKey),
    wrapped: encrypt(wrappingKey, dataKey, format),
  };
  return { header, dataKey };
}

/** The file's text for some content. */
export function seal({ header, dataKey }: Unlocked, content: string): string {
  const body = { ...header, data: encrypt(dataKey, Buffer.from(content), JSON.stringify(header)) };
  return `${JSON.stringify({ ...body, checksum: checksumOf(body) })}\n`;
}

/**
 * Opens a file's text. `unlocked` from an earlier opening spares the derivation while the header is the same.
 * Fails with `PERMISSION_DENIED` for a wrong key, and `DATA_LOSS` for a file that was damaged or tampered with.
 */
export async function unseal(
  path: string,
  text: string,
  key: SecretKey,
  unlocked?: Unlocked,
): Promise<{ readonly unlocked: Unlocked; readonly content: string }> {
  const { data, checksum, ...header } = parse(path, text);
  if (checksum !== checksumOf({ ...header, data })) throw tampered(path, "its checksum is wrong");
  let dataKey = unlocked?.header.wrapped === header.wrapped ? unlocked.dataKey : undefined;
  if (dataKey === undefined) {
    if ((key.kind === "raw") !== (header.scrypt === undefined)) {
      const [needed, given] = key.kind === "raw" ? ["a passphrase", "a key"] : ["a key", "a passphrase"];
      throw wrongKey(path, `it was made with ${needed}, and ${given} was given`);
    }
    const wrappingKey = await wrappingKeyOf(key, header.scrypt);
    const expected = Buffer.from(header.keyCheck, "base64");
    const found = Buffer.from(keyCheckOf(wrappingKey), "base64");
    if (expected.length !== found.length || !timingSafeEqual(expected, found))
      throw wrongKey(path, "it was made with another key");
    dataKey = decrypt(path, wrappingKey, header.wrapped, format);
  }
  const content = decrypt(path, dataKey, data, JSON.stringify(header)).toString("utf8");
  return { unlocked: { header, dataKey }, content };
}

function parse(path: string, text: string): z.infer<typeof sealed> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw tampered(path, "it is cut off or overwritten");
  }
  const result = sealed.safeParse(value);
  if (!result.success) throw tampered(path, "it is not laid out as a secret file");
  return result.data;
}

function wrappingKeyOf(key: SecretKey, derivation: Derivation | undefined): Promise<Buffer> {
  if (derivation === undefined) return Promise.resolve(key.reveal());
  const { cost, salt } = derivation;
  return new Promise((resolve, reject) => {
    const options = { cost, blockSize: 8, parallelization: 1, maxmem: 256 * cost * 8 };
    scrypt(key.reveal(), Buffer.from(salt, "base64"), 32, options, (error, derived) =>
      error === null
        ? resolve(derived)
        : reject(new VdcError("INTERNAL", "the key could not be derived", { cause: error })),
    );
  });
}

function keyCheckOf(wrappingKey: Buffer): string {
  return createHmac("sha256", wrappingKey).update("vdc-secrets key check").digest("base64");
}

function checksumOf(body: object): string {
  return createHash("sha256").update(JSON.stringify(body)).digest("base64");
}

/** AES-256-GCM with a fresh random nonce: nonce (12 bytes), tag (16 bytes), ciphertext, as base64. */
function encrypt(key: Buffer, content: Buffer, associated: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(Buffer.from(associated));
  const parts = [cipher.update(content), cipher.final()];
  return Buffer.concat([nonce, cipher.getAuthTag(), ...parts]).toString("base64");
}

function decrypt(path: string, key: Buffer, text: string, associated: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length < 28) throw tampered(path, "its data is cut off");
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12), { authTagLength: 16 });
  decipher.setAAD(Buffer.from(associated));
  decipher.setAuthTag(bytes.subarray(12, 28));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]);
  } catch {
    throw tampered(path, "its data was changed");
  }
}

function tampered(path: string, what: string): VdcError {
  return new VdcError(
    "DATA_LOSS",
    `the secret file '${path}' is damaged (${what}): keep it aside, put a backup in its place, and find out who can write there`,
    { reason: "VDC_SECRET_DAMAGED", details: { path } },
  );
}

function wrongKey(path: string, what: string): VdcError {
  return new VdcError(
    "PERMISSION_DENIED",
    `the secret file '${path}' can't be opened: ${what}. Give the key that it was made with`,
    { reason: "VDC_SECRET_WRONG_KEY", details: { path } },
  );
}
