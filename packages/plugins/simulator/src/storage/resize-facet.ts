import { VdcError } from "@vdc-os/core";
import type { ResizeFacet } from "@vdc-os/core/storage/v1";
import type { VolumePool } from "./volume-pool.ts";

/** Sizes of volumes, attached or not. What a shrink cuts off is gone. */
export function resizeFacet(pool: VolumePool): ResizeFacet {
  return {
    async resizeVolume({ volumeId, capacityBytes, allowShrink = false }) {
      const record = pool.volume(volumeId);
      if (capacityBytes < record.capacityBytes) {
        if (!allowShrink || capacityBytes === 0) {
          throw new VdcError(
            "OUT_OF_RANGE",
            `volume '${record.facts.name}' has ${record.capacityBytes} bytes: ${capacityBytes} would lose some, which needs 'allowShrink'`,
          );
        }
        record.layer.truncate(capacityBytes);
      }
      const { totalBytes, provisionedBytes } = pool.capacity();
      if (provisionedBytes - record.capacityBytes + capacityBytes > totalBytes * pool.maxOverSubscription) {
        throw new VdcError("RESOURCE_EXHAUSTED", `${capacityBytes} bytes do not fit into pool '${pool.name}'`);
      }
      record.capacityBytes = capacityBytes;
      return pool.toVolume(record);
    },
  };
}
