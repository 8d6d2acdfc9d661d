import type { WireClock } from "../wire-clock.ts";
import type { LldpAdvertisement } from "./lldp-frame.ts";

/** A system at the other end of an uplink. */
export interface LldpNeighbour extends LldpAdvertisement {
  /** The uplink that it was heard on. */
  readonly portKey: string;
  /** Milliseconds of the clock until it is forgotten unless it is heard again. */
  readonly expiresInMs: number;
}

export interface NeighbourTableOptions {
  readonly clock: WireClock;
  /** Called after neighbours came, changed or went. */
  readonly onChange?: ((portKey: string) => void) | undefined;
  /** How many neighbours an uplink has at most; more are not taken in. Defaults to `16`. */
  readonly limitPerPort?: number | undefined;
}

interface Entry {
  readonly advertisement: LldpAdvertisement;
  readonly text: string;
  expiresAt: number;
}

/** What was heard, for as long as its time to live says (IEEE 802.1AB-2016 9.2.7.8). Bounded. */
export class NeighbourTable {
  readonly #options: NeighbourTableOptions;
  readonly #ports = new Map<string, Map<string, Entry>>();
  #cancel: (() => void) | undefined;
  #refused = 0;

  constructor(options: NeighbourTableOptions) {
    this.#options = options;
  }

  /** Advertisements that came when an uplink had no room left. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes in an advertisement. True when its sender was not known on this uplink. */
  hear(portKey: string, advertisement: LldpAdvertisement): boolean {
    const { clock, limitPerPort = 16 } = this.#options;
    const id = JSON.stringify([advertisement.chassisId, advertisement.portId]);
    const entries = this.#ports.get(portKey) ?? new Map<string, Entry>();
    const known = entries.get(id);
    if (advertisement.ttlSeconds === 0) {
      if (entries.delete(id)) this.#changed(portKey);
      return false;
    }
    if (known === undefined && entries.size >= limitPerPort) {
      this.#refused += 1;
      return false;
    }
    this.#ports.set(portKey, entries);
    const text = JSON.stringify(advertisement);
    entries.set(id, { advertisement, text, expiresAt: clock.now() + advertisement.ttlSeconds * 1000 });
    if (known?.text !== text) this.#changed(portKey);
    else this.#plan();
    return known === undefined;
  }

  neighbours(): LldpNeighbour[] {
    const now = this.#options.clock.now();
    return [...this.#ports].flatMap(([portKey, entries]) =>
      [...entries.values()]
        .filter(({ expiresAt }) => expiresAt > now)
        .map(({ advertisement, expiresAt }) => ({ ...advertisement, portKey, expiresInMs: expiresAt - now })),
    );
  }

  /** Forgets what was heard on an uplink, such as when its link went down. */
  forget(portKey: string): void {
    if ((this.#ports.get(portKey)?.size ?? 0) > 0) {
      this.#ports.delete(portKey);
      this.#changed(portKey);
    }
  }

  clear(): void {
    this.#ports.clear();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #changed(portKey: string): void {
    this.#plan();
    this.#options.onChange?.(portKey);
  }

  /** One timer, for whoever expires first. */
  #plan(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    let first = Number.POSITIVE_INFINITY;
    for (const entries of this.#ports.values()) {
      for (const { expiresAt } of entries.values()) first = Math.min(first, expiresAt);
    }
    if (first === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#options;
    this.#cancel = clock.schedule(Math.max(0, first - clock.now()), () => this.#expire());
  }

  #expire(): void {
    const now = this.#options.clock.now();
    const changed: string[] = [];
    for (const [portKey, entries] of this.#ports) {
      const before = entries.size;
      for (const [id, { expiresAt }] of entries) if (expiresAt <= now) entries.delete(id);
      if (entries.size < before) changed.push(portKey);
      if (entries.size === 0) this.#ports.delete(portKey);
    }
    this.#plan();
    for (const portKey of changed) this.#options.onChange?.(portKey);
  }
}
