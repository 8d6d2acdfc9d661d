import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { VdcError } from "@vdc-os/core";
import { replaceFile } from "./replace-file.ts";

/** What unlocks the secrets. It shows nothing of itself when it is printed. */
export class SecretKey {
  readonly kind: "raw" | "passphrase";
  readonly #bytes: Buffer;

  private constructor(kind: "raw" | "passphrase", bytes: Buffer) {
    this.kind = kind;
    this.#bytes = bytes;
  }

  /** A key of 32 bytes. Throws `INVALID_ARGUMENT` for another length. */
  static raw(bytes: Uint8Array): SecretKey {
    if (bytes.length !== 32) {
      throw new VdcError("INVALID_ARGUMENT", `a secret key has 32 bytes, and this one has ${bytes.length}`);
    }
    return new SecretKey("raw", Buffer.from(bytes));
  }

  /** A passphrase. The key is derived from it. Throws `INVALID_ARGUMENT` for fewer than 8 characters. */
  static passphrase(text: string): SecretKey {
    if (text.length < 8) throw new VdcError("INVALID_ARGUMENT", "a passphrase has at least 8 characters");
    // Two ways to type one character must give one key.
    return new SecretKey("passphrase", Buffer.from(text.normalize("NFC")));
  }

  /** The bytes, for the cipher alone. */
  reveal(): Buffer {
    return this.#bytes;
  }

  toJSON(): string {
    return "[secret key]";
  }
}

/** Options of {@link readSecretKey}. */
export interface ReadSecretKeyOptions {
  /** A file of mode 0600 with 32 bytes as base64. */
  readonly keyFile?: string | undefined;
  /** Whether an absent key file is made. Defaults to `false`. */
  readonly createKeyFile?: boolean | undefined;
  /** A file of mode 0600 with a passphrase. */
  readonly passphraseFile?: string | undefined;
  /** Where `VDC_SECRET_KEY` and `VDC_SECRET_PASSPHRASE` are looked for. Defaults to the process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Finds the key: in the key file, else the passphrase file, else `VDC_SECRET_KEY`, else `VDC_SECRET_PASSPHRASE`.
 * Fails with `PERMISSION_DENIED` when there is none, when a file is readable by others, or when it holds no key.
 */
export function readSecretKey(options: ReadSecretKeyOptions = {}): SecretKey {
  const { keyFile, createKeyFile = false, passphraseFile, environment = process.env } = options;
  if (keyFile !== undefined) {
    if (createKeyFile && !existsSync(keyFile)) replaceFile(keyFile, `${randomBytes(32).toString("base64")}\n`);
    return parseKey(readPrivateFile(keyFile), `the key file '${keyFile}'`);
  }
  if (passphraseFile !== undefined) {
    return SecretKey.passphrase(readPrivateFile(passphraseFile).replace(/\r?\n$/, ""));
  }
  const { VDC_SECRET_KEY: key, VDC_SECRET_PASSPHRASE: passphrase } = environment;
  if (key !== undefined && key !== "") return parseKey(key, "'VDC_SECRET_KEY'");
  if (passphrase !== undefined && passphrase !== "") return SecretKey.passphrase(passphrase);
  throw new VdcError(
    "PERMISSION_DENIED",
    "there is no key for the secrets: set VDC_SECRET_KEY (32 bytes as base64) or VDC_SECRET_PASSPHRASE, or configure 'keyFile'",
    { reason: "VDC_SECRET_NO_KEY" },
  );
}

function parseKey(text: string, where: string): SecretKey {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed, "base64");
  if (bytes.length !== 32 || !/^[A-Za-z0-9+/]{43}=?$/.test(trimmed)) {
    throw new VdcError(
      "PERMISSION_DENIED",
      `${where} must hold 32 bytes as base64, such as 'openssl rand -base64 32' prints`,
      { reason: "VDC_SECRET_BAD_KEY" },
    );
  }
  return SecretKey.raw(bytes);
}

function readPrivateFile(path: string): string {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) {
      throw new VdcError(
        "PERMISSION_DENIED",
        `'${path}' can be read by others (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it, and consider its key known`,
        { reason: "VDC_SECRET_KEY_EXPOSED", details: { path } },
      );
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES") {
      throw new VdcError(
        "PERMISSION_DENIED",
        `the key file '${path}' ${code === "ENOENT" ? "is not there" : "can't be read"}: put it back; the secrets can't be read without it`,
        { reason: "VDC_SECRET_NO_KEY", details: { path } },
      );
    }
    throw error;
  }
}
