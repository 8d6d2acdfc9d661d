import { TokenBucket } from "./token-bucket.ts";

/** Limits one direction of a port. `packetsPerSecond` 0 is no limit. */
export interface ShapingSetting {
  readonly averageBitsPerSecond: number;
  /** The rate within a burst; not less than the average. */
  readonly peakBitsPerSecond: number;
  /** How much may pass beyond the average, in octets. */
  readonly burstBytes: number;
  readonly packetsPerSecond: number;
}

/** What a shaper really does. */
export interface EffectiveShaping {
  readonly averageBitsPerSecond: number;
  readonly peakBitsPerSecond: number;
  readonly burstBytes: number;
  /** How much may pass at once, faster than the peak rate: what 10 ms of it are, and at least one largest frame. */
  readonly peakBurstBytes: number;
  readonly packetsPerSecond: number;
  /** How many packets may pass at once: what 100 ms are, and at least one. 0 without a limit. */
  readonly packetBurst: number;
  /** What happens to a frame that is over a limit. */
  readonly overLimit: "drop";
}

/** How full a shaper's buckets are, to go on with elsewhere. */
export interface ShaperLevel {
  readonly average: number;
  readonly peak: number;
  readonly packets: number;
}

const LARGEST_FRAME_BYTES = 9234;
const PEAK_WINDOW_SECONDS = 0.01;
const PACKET_WINDOW_SECONDS = 0.1;

/**
 * Limits what passes, in bits and in packets per second, by policing: a frame for which a bucket has no tokens is dropped as `shaped`
 * at once, and takes nothing from the others. Nothing is queued or delayed, in either direction.
 *
 * Two buckets of octets: one fills at the average rate and holds the burst, the other fills at the peak rate and holds little. Octets are
 * those of Ethernet frames, tags included, without preamble and check sequence.
 */
export class PortShaper {
  readonly #average: TokenBucket;
  readonly #peak: TokenBucket;
  readonly #packets: TokenBucket | undefined;

  constructor({ averageBitsPerSecond, peakBitsPerSecond, burstBytes, packetsPerSecond }: ShapingSetting) {
    const average = Math.max(8, Math.round(averageBitsPerSecond));
    const peak = Math.max(average, Math.round(peakBitsPerSecond));
    const peakBurst = Math.max(LARGEST_FRAME_BYTES, Math.round((peak / 8) * PEAK_WINDOW_SECONDS));
    this.#average = new TokenBucket(average / 8, Math.max(1, Math.round(burstBytes)));
    this.#peak = new TokenBucket(peak / 8, peakBurst);
    const packets = packetsPerSecond > 0 ? Math.max(1, Math.round(packetsPerSecond)) : 0;
    this.#packets =
      packets > 0 ? new TokenBucket(packets, Math.max(1, Math.round(packets * PACKET_WINDOW_SECONDS))) : undefined;
  }

  /** Whether a frame may pass at `now`. */
  allows(octets: number, now: number): boolean {
    // All are asked, so that all are filled up to now.
    const average = this.#average.allows(octets, now);
    const peak = this.#peak.allows(octets, now);
    const packets = this.#packets === undefined || this.#packets.allows(1, now);
    return average && peak && packets;
  }

  /** Takes a frame that `allows` let pass. */
  take(octets: number): void {
    this.#average.take(octets);
    this.#peak.take(octets);
    this.#packets?.take(1);
  }

  effective(): EffectiveShaping {
    return {
      averageBitsPerSecond: this.#average.rate * 8,
      peakBitsPerSecond: this.#peak.rate * 8,
      burstBytes: this.#average.depth,
      peakBurstBytes: this.#peak.depth,
      packetsPerSecond: this.#packets?.rate ?? 0,
      packetBurst: this.#packets?.depth ?? 0,
      overLimit: "drop",
    };
  }

  get level(): ShaperLevel {
    return { average: this.#average.level, peak: this.#peak.level, packets: this.#packets?.level ?? 0 };
  }

  set level({ average, peak, packets }: ShaperLevel) {
    this.#average.level = average;
    this.#peak.level = peak;
    if (this.#packets !== undefined) this.#packets.level = packets;
  }
}
