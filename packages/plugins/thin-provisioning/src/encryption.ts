import type { OperationContext } from "@vdc-os/core";
import type { EncryptionFacet } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";

/** How what a guest writes is encrypted: LUKS1 in qcow2, `aes-xts-plain64` with 512 bits of key. */
export const cipher = "aes-256-xts";

/** Facet `encryption`: keys are named, resolved where they are needed, and kept nowhere. */
export class Encryption implements EncryptionFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async encryptionStatus(
    { volumeId }: { readonly volumeId: string },
    _context: OperationContext,
  ): ReturnType<EncryptionFacet["encryptionStatus"]> {
    const { encryption } = this.#pool.catalog.get(volumeId).record;
    return encryption === undefined ? { encrypted: false } : { encrypted: true, cipher, keyRef: encryption.key.keyRef };
  }

  async rotateKey(
    { volumeId, keyRef }: { readonly volumeId: string; readonly keyRef: string },
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    const { catalog, keys, rotation } = this.#pool;
    const entry = catalog.get(volumeId);
    const { record: nextKey } = await keys.resolve(keyRef, context);
    try {
      await rotation.rotate(entry, nextKey, context);
    } catch (error) {
      throw storageFailure(error, `changing the key of volume '${entry.record.name}'`);
    }
  }
}
