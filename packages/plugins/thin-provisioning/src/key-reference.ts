import { VdcError } from "@vdc-os/core";
import type { SecretRef } from "@vdc-os/core/secret/v1";
import { z } from "zod";

/** A volume's key, as its record holds it: where it is kept, and nothing of it. */
export interface KeyRecord {
  /** As it was asked for: the name of a secret, or `<name>@<version>`. */
  readonly keyRef: string;
  /** Which version of the secret that was then: a newer one does not open the volume. */
  readonly version: number;
}

/** How a volume is encrypted. */
export interface EncryptionRecord {
  readonly key: KeyRecord;
  /** The key that the volume is being given: any of its images may have that one, or still the other. */
  readonly nextKey?: KeyRecord | undefined;
}

const keyRecord: z.ZodType<KeyRecord> = z.object({ keyRef: z.string(), version: z.int().positive() });

/** Schema of {@link EncryptionRecord}. */
export const encryptionRecord: z.ZodType<EncryptionRecord> = z.object({
  key: keyRecord,
  nextKey: keyRecord.optional(),
});

/** How a reference to a key is written: a secret's name, and its version where it is not the newest. */
export const keyRefPattern: RegExp = /^([a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?)(?:@([1-9][0-9]{0,8}))?$/;

/** The secret that a reference names. Throws `INVALID_ARGUMENT` for a text that is none. */
export function secretRefOf(keyRef: string): SecretRef {
  const [, name, version] = keyRefPattern.exec(keyRef) ?? [];
  if (name === undefined) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `'${keyRef}' does not name a key: it is a secret's name, or '<name>@<version>'`,
      { reason: "VDC_KEY_REFERENCE" },
    );
  }
  return version === undefined ? { name } : { name, version: Number(version) };
}

/** Whether two keys are the same secret of the same version. */
export function isSameKey(a: KeyRecord, b: KeyRecord): boolean {
  return secretRefOf(a.keyRef).name === secretRefOf(b.keyRef).name && a.version === b.version;
}
