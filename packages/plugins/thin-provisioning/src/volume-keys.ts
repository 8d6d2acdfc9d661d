import { basename, dirname } from "node:path";
import { VdcError } from "@vdc-os/core";
import type { NewEncryption } from "@vdc-os/qcow2";
import { z } from "zod";
import type { VolumeRecord } from "./volume-record.ts";

/** Keys on their way to a storage process: over its control channel, and nowhere else. */
export type KeysOnTheWire = {
  /** What trying one of them costs. */
  readonly iterations: number;
  /** By volume, in base64: first the one that new images of it get. */
  readonly volumes: Readonly<Record<string, readonly string[]>>;
};

/** Schema of {@link KeysOnTheWire}. */
export const keysOnTheWire: z.ZodType<KeysOnTheWire> = z.object({
  iterations: z.int().positive(),
  volumes: z.record(z.string(), z.array(z.string())),
});

/**
 * The keys of a volume and of those that it reads from, in memory alone. An image is known by the folder that it lies in, which is its volume's: so each volume of a chain
 * has a key of its own. During a change of keys a volume has two, and each of its images opens with one of them.
 */
export class VolumeKeys {
  #iterations: number;
  #keys: ReadonlyMap<string, readonly Buffer[]>;

  constructor(iterations = 1000, keys: ReadonlyMap<string, readonly Buffer[]> = new Map()) {
    this.#iterations = iterations;
    this.#keys = keys;
  }

  /** What was sent by {@link wire}; without it, no keys. */
  static of(wire: KeysOnTheWire | undefined): VolumeKeys {
    const keys = new VolumeKeys();
    if (wire !== undefined) keys.replace(wire);
    return keys;
  }

  /** Takes over what was sent: images that are opened from now on use that. */
  replace({ iterations, volumes }: KeysOnTheWire): void {
    this.#iterations = iterations;
    this.#keys = new Map(
      Object.entries(volumes).map(([id, keys]) => [id, keys.map((key) => Buffer.from(key, "base64"))]),
    );
  }

  /** What goes to a storage process. `undefined` where nothing is encrypted. */
  wire(): KeysOnTheWire | undefined {
    if (this.#keys.size === 0) return undefined;
    const volumes = [...this.#keys].map(([id, keys]) => [id, keys.map((key) => key.toString("base64"))]);
    return { iterations: this.#iterations, volumes: Object.fromEntries(volumes) };
  }

  /** What opens an image: the `passphrase` of the image engine. */
  readonly passphrase = (imagePath: string): readonly Buffer[] | undefined =>
    this.#keys.get(basename(dirname(imagePath)));

  /** How a new image of a volume is encrypted. Throws `PERMISSION_DENIED` where it must be and the key is not here: never is one made in the clear instead. */
  encryptionOf({ volumeId, name, encryption }: VolumeRecord): NewEncryption | undefined {
    if (encryption === undefined) return undefined;
    const [passphrase] = this.#keys.get(volumeId) ?? [];
    if (passphrase === undefined) {
      throw new VdcError("PERMISSION_DENIED", `the key of volume '${name}' is not here`, { reason: "VDC_KEY_NEEDED" });
    }
    return { passphrase, iterations: this.#iterations };
  }

  /** What changes the images of a volume from its older keys to its newest. */
  changesOf(
    volumeId: string,
  ): readonly { readonly current: Buffer; readonly next: Buffer; readonly iterations: number }[] {
    const [next, ...older] = this.#keys.get(volumeId) ?? [];
    if (next === undefined) return [];
    return (older.length === 0 ? [next] : older).map((current) => ({ current, next, iterations: this.#iterations }));
  }
}
