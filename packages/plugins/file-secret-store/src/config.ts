import { z } from "zod";

/** Config of the plugin. It names where the key is, and never holds the key. */
export interface FileSecretStoreConfig {
  /** The encrypted file. It and its folder are made when they are absent. */
  readonly path: string;
  /**
   * A file of mode 0600 that holds the key: 32 bytes as base64. Without this and `passphraseFile`, the key comes from the environment:
   * `VDC_SECRET_KEY` (32 bytes as base64) or `VDC_SECRET_PASSPHRASE`.
   */
  readonly keyFile?: string | undefined;
  /** Whether a key file that is absent is made, while there is no encrypted file yet. Defaults to `false`. */
  readonly createKeyFile?: boolean | undefined;
  /** A file of mode 0600 that holds a passphrase, from which the key is derived (scrypt). */
  readonly passphraseFile?: string | undefined;
  /** How many versions of a secret are kept. Defaults to `10`. */
  readonly keepVersions?: number | undefined;
}

/** Schema of {@link FileSecretStoreConfig}. */
export const fileSecretStoreConfig: z.ZodType<FileSecretStoreConfig> = z
  .object({
    path: z.string().min(1),
    keyFile: z.string().min(1).optional(),
    createKeyFile: z.boolean().optional(),
    passphraseFile: z.string().min(1).optional(),
    keepVersions: z.int().min(2).max(1_000).optional(),
  })
  .refine((config) => config.keyFile === undefined || config.passphraseFile === undefined, {
    message: "give at most one of 'keyFile' and 'passphraseFile'",
  });
