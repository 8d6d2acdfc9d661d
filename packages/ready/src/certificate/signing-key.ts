import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { VdcError } from "@vdc-os/core";
import { keyIdOf } from "@vdc-os/core/certificate";

/** The files of a pair of keys. */
export interface SigningKeyFiles {
  /** The private key, in a file that nobody else can read. */
  readonly privatePath: string;
  /** The public key, to publish: whoever verifies needs it. */
  readonly publicPath: string;
  readonly keyId: string;
}

/** Makes an ed25519 key, in PEM: `<path>` of mode 0600, and `<path>.pub`. Rejects with `ALREADY_EXISTS`, since no key is ever overwritten, or `FAILED_PRECONDITION`. */
export async function createSigningKey(path: string): Promise<SigningKeyFiles> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const publicPath = `${path}.pub`;
  try {
    await writeFile(path, privateKey.export({ type: "pkcs8", format: "pem" }), { flag: "wx", mode: 0o600 });
    await writeFile(publicPath, publicKey.export({ type: "spki", format: "pem" }), { flag: "wx", mode: 0o644 });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== "EEXIST") throw new VdcError("FAILED_PRECONDITION", `the key can't be written: ${message}`, { cause });
    throw new VdcError("ALREADY_EXISTS", `'${(cause as NodeJS.ErrnoException).path}' is there already`, { cause });
  }
  return { privatePath: path, publicPath, keyId: keyIdOf(publicKey) };
}

/** Reads a private key. Rejects with `FAILED_PRECONDITION` when others can read it too, `INVALID_ARGUMENT` when it is none. */
export async function readSigningKey(path: string): Promise<KeyObject> {
  let pem: string;
  let mode: number;
  try {
    pem = await readFile(path, "utf8");
    ({ mode } = await stat(path));
  } catch (cause) {
    throw new VdcError("NOT_FOUND", `'${path}' can't be read: ${(cause as Error).message}`, { cause });
  }
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new VdcError("FAILED_PRECONDITION", `others can read the private key '${path}': run 'chmod 600 ${path}'`);
  }
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${path}' is no private key in PEM`, { cause });
  }
  throw new VdcError("INVALID_ARGUMENT", `'${path}' is no ed25519 key: make one with 'vdc-ready key'`);
}
