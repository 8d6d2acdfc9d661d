import type { OperationContext } from "@vdc-os/core";
import { type BackingResolver, backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import type { KeyResolver } from "./key-resolver.ts";
import type { PoolLayout } from "./pool-layout.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** How one of a volume's images is opened. */
export interface OpenVolumeImageOptions {
  /** The snapshot whose layer it is. Defaults to the volume's own image. */
  readonly snapshotId?: string | undefined;
  readonly readOnly?: boolean;
  readonly lock?: boolean;
  readonly repairLeaks?: "after-crash" | "always" | "never";
  /** Defaults to what lies below in the pool's folder. */
  readonly resolveBacking?: BackingResolver;
}

/** The one way in which the pool itself opens images: with the keys of the volume and of those below it. A storage process has been given them. */
export class VolumeImages {
  readonly layout: PoolLayout;
  readonly #keys: KeyResolver;

  constructor(layout: PoolLayout, keys: KeyResolver) {
    this.layout = layout;
    this.#keys = keys;
  }

  async open(entry: VolumeEntry, options: OpenVolumeImageOptions, context: OperationContext): Promise<Qcow2Image> {
    const { snapshotId, resolveBacking = backingFolder(this.layout.volumes), ...how } = options;
    const { volumeId } = entry;
    const path = snapshotId === undefined ? this.layout.image(volumeId) : this.layout.layer(volumeId, snapshotId);
    const open = async (): Promise<Qcow2Image> => {
      const { passphrase } = await this.#keys.keysOf(entry, context);
      return Qcow2Image.open(path, { ...how, resolveBacking, passphrase });
    };
    try {
      return await open();
    } catch (error) {
      if ((error as { readonly code?: string }).code !== "WRONG_PASSPHRASE") throw error;
      // A change of keys may have been completed since the record was read.
      return open();
    }
  }
}
