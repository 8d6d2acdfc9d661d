import { AddressIndex, addressKey, CELLS_PER_ENTRY, EXTRA_CELL, VALUE_CELL } from "./address-index.ts";
import { type MacAddress, macHigh, macLow, macOf } from "./mac-address.ts";
import type { Place } from "./place.ts";

/** What `learn` did. `limited`: the table, or this place's share of it, is full; the address stays where it was, or unknown. */
export type LearnOutcome = "learned" | "refreshed" | "moved" | "limited";

export interface MacTableOptions {
  /** How long an address is remembered after its last frame. Defaults to `300_000` (IEEE 802.1Q-2018, table 8-6). */
  readonly ageingMs?: number | undefined;
  /** How many addresses the table holds. Defaults to `65_536`. */
  readonly limit?: number | undefined;
}

/** One address as data, for whoever moves a port to another host. */
export interface LearnedAddress {
  /** The VLAN; of a private VLAN its primary. */
  readonly vlan: number;
  readonly mac: MacAddress;
  readonly agoMs: number;
}

/** How many entries are looked at for room when a full table meets a stranger: enough to find some, little enough to be no attack. */
const SWEEP_STEP = 64;

/**
 * Where addresses were last seen, per VLAN: the same address in two VLANs is two entries (independent learning; the secondary VLANs of
 * a private VLAN share their primary's). Bounded, so that a guest inventing addresses costs it its own learning and nothing else.
 *
 * What has aged is not found any more from that moment on. Its room is taken back when a stranger needs it, a few entries at a time, so
 * that no call ever goes through the whole table.
 */
export class MacTable {
  readonly #index = new AddressIndex();
  readonly #places: (Place | undefined)[] = [];
  readonly #freeIds: number[] = [];
  readonly #ageingMs: number;
  /** How many addresses it holds. */
  limit: number;
  /** Where the search for aged entries goes on. */
  #hand = 0;

  constructor(options: MacTableOptions = {}) {
    this.#ageingMs = options.ageingMs ?? 300_000;
    this.limit = options.limit ?? 65_536;
  }

  /** Entries, those that have aged but were not noticed yet included. */
  get size(): number {
    return this.#index.size;
  }

  /** Remembers that an address sent a frame from `place` at `now`, in milliseconds. `limit` bounds the entries of this one place. */
  learn(vlan: number, high: number, low: number, place: Place, limit: number, now: number): LearnOutcome {
    const key = addressKey(vlan, high);
    const at = this.#index.find(key, low);
    if (at >= 0 && this.#index.cells[at + VALUE_CELL] === place.placeId) {
      this.#index.cells[at + EXTRA_CELL] = now | 0;
      return "refreshed";
    }
    if (place.stations >= limit || (at < 0 && this.#index.size >= this.limit)) {
      if (this.#sweepSome(now) === 0) return "limited";
      return this.learn(vlan, high, low, place, limit, now);
    }
    const id = this.#register(place);
    place.stations += 1;
    if (at >= 0) {
      this.#leave(this.#index.cells[at + VALUE_CELL] ?? -1);
      this.#index.cells[at + VALUE_CELL] = id;
      this.#index.cells[at + EXTRA_CELL] = now | 0;
      return "moved";
    }
    const inserted = this.#index.insert(key, low, id);
    this.#index.cells[inserted + EXTRA_CELL] = now | 0;
    return "learned";
  }

  /** What `learn` would do, without doing it. */
  probe(vlan: number, high: number, low: number, place: Place, limit: number, now: number): LearnOutcome {
    const at = this.#index.find(addressKey(vlan, high), low);
    if (at >= 0 && this.#index.cells[at + VALUE_CELL] === place.placeId) return "refreshed";
    if (place.stations >= limit || (at < 0 && this.#index.size >= this.limit)) {
      if (this.#sweepSome(now) === 0) return "limited";
      return this.probe(vlan, high, low, place, limit, now);
    }
    return at >= 0 ? "moved" : "learned";
  }

  /** Where an address was last seen in `vlan`; undefined when never, or too long before `now`. */
  lookup(vlan: number, high: number, low: number, now: number): Place | undefined {
    const at = this.#index.find(addressKey(vlan, high), low);
    if (at < 0) return undefined;
    const cells = this.#index.cells;
    if (((now | 0) - (cells[at + EXTRA_CELL] ?? 0)) >>> 0 < this.#ageingMs) {
      return this.#places[cells[at + VALUE_CELL] ?? -1];
    }
    this.#removeAt(at);
    return undefined;
  }

  /** Forgets every address of a place: its port went, or changed its VLANs. Returns how many. */
  forget(place: Place): number {
    const { stations } = place;
    if (stations > 0) this.#removeWhere((id) => id === place.placeId);
    if (place.placeId >= 0) {
      this.#places[place.placeId] = undefined;
      this.#freeIds.push(place.placeId);
      place.placeId = -1;
    }
    return stations;
  }

  /** Forgets one address, in every VLAN, if it was last seen at this place. */
  forgetAddress(mac: MacAddress, place: Place): void {
    if (place.stations === 0) return;
    const high = macHigh(mac);
    const low = macLow(mac);
    const { cells } = this.#index;
    this.#removeWhere(
      (id, at) => id === place.placeId && cells[at + 1] === low && ((cells[at] ?? 0) & 0xffff) === high,
    );
  }

  /** Removes what has aged. Returns how many. Goes through the whole table: not for the forwarding path. */
  sweep(now: number): number {
    return this.#removeWhere((_, at) => this.#hasAged(at, now));
  }

  /** The addresses of a place that have not aged. Goes through the whole table. */
  addressesAt(place: Place, now: number): LearnedAddress[] {
    const found: LearnedAddress[] = [];
    if (place.stations === 0) return found;
    const { cells, capacity } = this.#index;
    for (let at = 0; at < capacity * CELLS_PER_ENTRY; at += CELLS_PER_ENTRY) {
      if (cells[at + VALUE_CELL] !== place.placeId || this.#hasAged(at, now)) continue;
      const key = cells[at] ?? 0;
      found.push({
        vlan: key >>> 16,
        mac: macOf(key & 0xffff, cells[at + 1] ?? 0),
        agoMs: ((now | 0) - (cells[at + EXTRA_CELL] ?? 0)) >>> 0,
      });
    }
    return found;
  }

  /** The VLANs in which somebody was heard. Goes through the whole table. */
  vlans(): ReadonlySet<number> {
    const found = new Set<number>();
    const { cells, capacity } = this.#index;
    for (let at = 0; at < capacity * CELLS_PER_ENTRY; at += CELLS_PER_ENTRY) {
      if (this.#index.has(at)) found.add((cells[at] ?? 0) >>> 16);
    }
    return found;
  }

  #hasAged(at: number, now: number): boolean {
    return ((now | 0) - (this.#index.cells[at + EXTRA_CELL] ?? 0)) >>> 0 >= this.#ageingMs;
  }

  #sweepSome(now: number): number {
    const index = this.#index;
    let removed = 0;
    for (let step = 0; step < Math.min(SWEEP_STEP, index.capacity); step += 1) {
      if (this.#hand >= index.capacity) this.#hand = 0;
      const at = this.#hand * CELLS_PER_ENTRY;
      if (index.has(at) && this.#hasAged(at, now)) {
        // Another entry may have moved here: it is looked at in the next step.
        this.#removeAt(at);
        removed += 1;
      } else this.#hand += 1;
    }
    return removed;
  }

  #removeWhere(matches: (id: number, at: number) => boolean): number {
    const index = this.#index;
    let removed = 0;
    let at = 0;
    const end = index.capacity * CELLS_PER_ENTRY;
    // A run that wraps round the end can move entries to where this was already: those are found in a second pass.
    for (let pass = 0; pass < 2; pass += 1) {
      at = 0;
      while (at < end) {
        if (index.has(at) && matches(index.cells[at + VALUE_CELL] ?? -1, at)) {
          this.#removeAt(at);
          removed += 1;
        } else at += CELLS_PER_ENTRY;
      }
    }
    return removed;
  }

  #removeAt(at: number): void {
    this.#leave(this.#index.cells[at + VALUE_CELL] ?? -1);
    this.#index.removeAt(at);
  }

  #leave(id: number): void {
    const place = this.#places[id];
    if (place !== undefined) place.stations -= 1;
  }

  #register(place: Place): number {
    if (place.placeId >= 0) return place.placeId;
    place.placeId = this.#freeIds.pop() ?? this.#places.length;
    this.#places[place.placeId] = place;
    return place.placeId;
  }
}
