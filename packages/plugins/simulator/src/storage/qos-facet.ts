import type { Clock } from "@vdc-os/core";
import type { QosFacet, QosPolicy } from "@vdc-os/core/storage/v1";
import type { VolumePool } from "./volume-pool.ts";

/** Limits of a volume's data path, in force from the moment they are set. */
export function qosFacet(pool: VolumePool): QosFacet {
  return {
    async setQos({ volumeId, policy }) {
      pool.volume(volumeId).pace.policy = policy;
    },
    getQos: async ({ volumeId }) => pool.volume(volumeId).pace.policy,
  };
}

/** Holds requests back so that they keep to a policy: two buckets that fill with time, and a request that waits for what is missing. */
export class Pace {
  policy: QosPolicy = { iops: 0, bytesPerSecond: 0 };
  readonly #operations = new Bucket();
  readonly #bytes = new Bucket();

  /** Resolves when a request of this many bytes may go on. */
  async wait(bytes: number, clock: Clock): Promise<void> {
    const { iops, bytesPerSecond, burstOperations = iops, burstBytes = bytesPerSecond } = this.policy;
    const now = clock.monotonic();
    const waitMs = Math.max(
      this.#operations.take(1, { rate: iops, burst: burstOperations, now }),
      this.#bytes.take(bytes, { rate: bytesPerSecond, burst: burstBytes, now }),
    );
    if (waitMs > 0) await clock.sleep(waitMs);
  }
}

class Bucket {
  /** When all that was taken is paid for, in milliseconds. */
  #paidAt = 0;

  /** Takes an amount, and tells after how many milliseconds it may be used. A rate of 0 is no limit. */
  take(
    amount: number,
    { rate, burst, now }: { readonly rate: number; readonly burst: number; readonly now: number },
  ): number {
    if (rate === 0) {
      this.#paidAt = 0;
      return 0;
    }
    this.#paidAt = Math.max(this.#paidAt, now) + (1000 * amount) / rate;
    return Math.max(0, this.#paidAt - (1000 * Math.max(burst, amount)) / rate - now);
  }
}
