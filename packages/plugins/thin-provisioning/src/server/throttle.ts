import type { QosPolicy } from "@vdc-os/core/storage/v1";

/** A request that waits for its turn. */
interface Waiting {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Milliseconds that never go back. */
const monotonic = (): number => performance.now();

/** Tokens that come back at a rate, up to a burst. */
class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
    this.#at = now;
  }

  /** How long until something of a cost may be done, in milliseconds. What costs more than the burst is done when the bucket is full. */
  waitMs(cost: number, now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    return Math.max(0, Math.min(cost, this.#burst) - this.#tokens) / this.#perMs;
  }

  /** May leave a debt, which what comes next waits for. */
  take(cost: number): void {
    this.#tokens -= cost;
  }
}

/**
 * The limits on one volume's data path: two token buckets, and a queue in order of arrival. The queue holds no more than the connections' own limits
 * let in, and a changed policy applies to what waits already.
 */
export class Throttle {
  #policy: QosPolicy = { iops: 0, bytesPerSecond: 0 };
  #operations: TokenBucket | undefined;
  #bytes: TokenBucket | undefined;
  readonly #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped: Error | undefined;

  /** What is in force. */
  get policy(): QosPolicy {
    return this.#policy;
  }

  set(policy: QosPolicy): void {
    if (JSON.stringify(policy) === JSON.stringify(this.#policy)) return;
    const now = monotonic();
    const { iops, bytesPerSecond, burstOperations = iops, burstBytes = bytesPerSecond } = policy;
    this.#policy = policy;
    this.#operations = iops === 0 ? undefined : new TokenBucket(iops, burstOperations, now);
    this.#bytes = bytesPerSecond === 0 ? undefined : new TokenBucket(bytesPerSecond, burstBytes, now);
    this.#run();
  }

  /** Answers nothing when the request may go on at once, else a promise for when it may. */
  admit(bytes: number): Promise<void> | undefined {
    if (this.#operations === undefined && this.#bytes === undefined) return undefined;
    if (this.#stopped !== undefined) throw this.#stopped;
    if (this.#queue.length === 0 && this.#tryTake(bytes) === 0) return undefined;
    return new Promise((resolve, reject) => {
      this.#queue.push({ bytes, resolve, reject });
      this.#run();
    });
  }

  /** Refuses what waits and what comes. */
  stop(error: Error): void {
    this.#stopped = error;
    clearTimeout(this.#timer);
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }

  /** Takes what a request costs, or tells how long it has to wait, in milliseconds. */
  #tryTake(bytes: number): number {
    const now = monotonic();
    const waitMs = Math.max(this.#operations?.waitMs(1, now) ?? 0, this.#bytes?.waitMs(bytes, now) ?? 0);
    if (waitMs > 0) return waitMs;
    this.#operations?.take(1);
    this.#bytes?.take(bytes);
    return 0;
  }

  #run(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let admitted = 0;
    for (const { bytes, resolve } of this.#queue) {
      const waitMs = this.#tryTake(bytes);
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#run(), Math.max(1, waitMs));
        break;
      }
      admitted++;
      resolve();
    }
    this.#queue.splice(0, admitted);
  }
}
