import type { MacAddress } from "./mac-address.ts";

/** What `learn` did. `limited`: the table, or this location's share of it, is full; the address stays unknown. */
export type LearnOutcome = "learned" | "refreshed" | "moved" | "limited";

export interface MacTableOptions {
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
  /** How long an address is remembered after its last frame. Defaults to `300_000` (IEEE 802.1Q-2018, table 8-6). */
  readonly ageingMs?: number;
  /** How many addresses the table holds. Defaults to `65_536`. */
  readonly limit?: number;
}

interface Entry<Location> {
  location: Location;
  seen: number;
}

/**
 * Where addresses were last seen, per VLAN: the same address in two VLANs is two entries (independent learning). Bounded, so that a
 * guest inventing addresses costs it its own learning and nothing else.
 */
export class MacTable<Location> {
  readonly #vlans = new Map<number, Map<MacAddress, Entry<Location>>>();
  readonly #perLocation = new Map<Location, number>();
  readonly #now: () => number;
  readonly #ageingMs: number;
  readonly #limit: number;
  #size = 0;
  #nextSweep = 0;

  constructor(options: MacTableOptions) {
    this.#now = options.now;
    this.#ageingMs = options.ageingMs ?? 300_000;
    this.#limit = options.limit ?? 65_536;
  }

  /** Entries, those that have aged but were not swept yet included. */
  get size(): number {
    return this.#size;
  }

  /** Remembers that `mac` sent a frame from `location`. `limit` bounds the entries of this one location. */
  learn(vlan: number, mac: MacAddress, location: Location, limit: number = Number.POSITIVE_INFINITY): LearnOutcome {
    const now = this.#now();
    let addresses = this.#vlans.get(vlan);
    const entry = addresses?.get(mac);
    if (entry !== undefined && entry.location === location) {
      entry.seen = now;
      return "refreshed";
    }
    if ((this.#perLocation.get(location) ?? 0) >= limit || (entry === undefined && this.#size >= this.#limit)) {
      // Scanning a full table for every stranger would be the attack itself, so once per tenth of the ageing time.
      if (now < this.#nextSweep) return "limited";
      this.#nextSweep = now + this.#ageingMs / 10;
      if (this.sweep() === 0) return "limited";
      return this.learn(vlan, mac, location, limit);
    }
    this.#count(location, 1);
    if (entry !== undefined) {
      this.#count(entry.location, -1);
      entry.location = location;
      entry.seen = now;
      return "moved";
    }
    if (addresses === undefined) {
      addresses = new Map();
      this.#vlans.set(vlan, addresses);
    }
    addresses.set(mac, { location, seen: now });
    this.#size += 1;
    return "learned";
  }

  /** Where `mac` was last seen in `vlan`; undefined when never, or too long ago. */
  lookup(vlan: number, mac: MacAddress): Location | undefined {
    const addresses = this.#vlans.get(vlan);
    const entry = addresses?.get(mac);
    if (addresses === undefined || entry === undefined) return undefined;
    if (this.#now() - entry.seen < this.#ageingMs) return entry.location;
    this.#remove(vlan, addresses, mac, entry);
    return undefined;
  }

  /** Forgets every address of a location: its port went, or changed its VLANs. Returns how many. */
  forget(location: Location): number {
    return this.#removeWhere((entry) => entry.location === location);
  }

  /** Forgets one address, in every VLAN, if it was last seen at this location. */
  forgetAddress(mac: MacAddress, location: Location): void {
    for (const [vlan, addresses] of this.#vlans) {
      const entry = addresses.get(mac);
      if (entry?.location === location) this.#remove(vlan, addresses, mac, entry);
    }
  }

  /** Removes what has aged. Returns how many. */
  sweep(): number {
    const now = this.#now();
    return this.#removeWhere((entry) => now - entry.seen >= this.#ageingMs);
  }

  #removeWhere(matches: (entry: Entry<Location>) => boolean): number {
    let removed = 0;
    for (const [vlan, addresses] of this.#vlans) {
      for (const [mac, entry] of addresses) {
        if (!matches(entry)) continue;
        this.#remove(vlan, addresses, mac, entry);
        removed += 1;
      }
    }
    return removed;
  }

  #remove(vlan: number, addresses: Map<MacAddress, Entry<Location>>, mac: MacAddress, entry: Entry<Location>): void {
    addresses.delete(mac);
    if (addresses.size === 0) this.#vlans.delete(vlan);
    this.#count(entry.location, -1);
    this.#size -= 1;
  }

  #count(location: Location, change: number): void {
    const count = (this.#perLocation.get(location) ?? 0) + change;
    if (count === 0) this.#perLocation.delete(location);
    else this.#perLocation.set(location, count);
  }
}
