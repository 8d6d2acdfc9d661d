/** Cells of one entry: two of key, the value, and one for whoever uses the index. Four, so that an entry lies in one cache line. */
export const CELLS_PER_ENTRY = 4;
/** Where in an entry its value is. */
export const VALUE_CELL = 2;
/** Where in an entry the caller's own number is. */
export const EXTRA_CELL = 3;

const EMPTY = -1;
const SMALLEST_CAPACITY = 16;

/** The first key cell: a VLAN (or another space of addresses, below 65,536) and the first two octets of a MAC address. */
export function addressKey(space: number, high: number): number {
  return (space << 16) | high;
}

/**
 * An open-addressing hash table from addresses to non-negative numbers, in one typed array: a lookup makes no garbage and touches one
 * cache line, however many addresses there are. Linear probing; a removal moves entries back, so that there are no tombstones and no
 * rebuilding. The hash is keyed with a random number, since guests choose the addresses.
 *
 * Positions are offsets into `cells`; each insertion or removal may move any entry.
 */
export class AddressIndex {
  cells: Int32Array;
  #capacity: number;
  #mask: number;
  #size = 0;
  readonly #seed: number;

  constructor() {
    this.#capacity = SMALLEST_CAPACITY;
    this.#mask = this.#capacity - 1;
    this.cells = emptyCells(this.#capacity);
    this.#seed = (crypto.getRandomValues(new Int32Array(1))[0] ?? 0) | 1;
  }

  get size(): number {
    return this.#size;
  }

  /** How many entries there is room for now; positions are below this times `CELLS_PER_ENTRY`. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The position of an address, or -1. */
  find(key: number, low: number): number {
    const cells = this.cells;
    let slot = this.#hash(key, low);
    for (;;) {
      const at = slot * CELLS_PER_ENTRY;
      if (cells[at + VALUE_CELL] === EMPTY) return -1;
      if (cells[at + 1] === low && cells[at] === key) return at;
      slot = (slot + 1) & this.#mask;
    }
  }

  /** Adds an address that is not there. Returns its position. */
  insert(key: number, low: number, value: number): number {
    // At most two thirds full: probes stay short.
    if ((this.#size + 1) * 3 > this.#capacity * 2) this.#resize(this.#capacity * 2);
    this.#size += 1;
    const at = this.#place(key, low);
    this.cells[at + VALUE_CELL] = value;
    return at;
  }

  /** Removes the entry at a position. Whatever was behind it in its run moves up, possibly to this very position. */
  removeAt(at: number): void {
    const cells = this.cells;
    this.#size -= 1;
    let hole = at / CELLS_PER_ENTRY;
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & this.#mask;
      const from = slot * CELLS_PER_ENTRY;
      if (cells[from + VALUE_CELL] === EMPTY) break;
      const home = this.#hash(cells[from] ?? 0, cells[from + 1] ?? 0);
      // An entry may move back to the hole unless its home lies between the two (cyclically).
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      cells.copyWithin(hole * CELLS_PER_ENTRY, from, from + CELLS_PER_ENTRY);
      hole = slot;
    }
    cells[hole * CELLS_PER_ENTRY + VALUE_CELL] = EMPTY;
  }

  /** Whether there is an entry at a position. */
  has(at: number): boolean {
    return this.cells[at + VALUE_CELL] !== EMPTY;
  }

  /** Removes everything and gives the memory back. */
  clear(): void {
    this.#size = 0;
    this.#capacity = SMALLEST_CAPACITY;
    this.#mask = this.#capacity - 1;
    this.cells = emptyCells(this.#capacity);
  }

  #hash(key: number, low: number): number {
    let hash = Math.imul(low ^ this.#seed, 0x9e3779b1) ^ Math.imul(key + this.#seed, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & this.#mask;
  }

  #place(key: number, low: number): number {
    const cells = this.cells;
    let slot = this.#hash(key, low);
    while (cells[slot * CELLS_PER_ENTRY + VALUE_CELL] !== EMPTY) slot = (slot + 1) & this.#mask;
    const at = slot * CELLS_PER_ENTRY;
    cells[at] = key;
    cells[at + 1] = low;
    return at;
  }

  #resize(capacity: number): void {
    const old = this.cells;
    this.#capacity = capacity;
    this.#mask = capacity - 1;
    this.cells = emptyCells(capacity);
    for (let at = 0; at < old.length; at += CELLS_PER_ENTRY) {
      if (old[at + VALUE_CELL] === EMPTY) continue;
      const to = this.#place(old[at] ?? 0, old[at + 1] ?? 0);
      this.cells[to + VALUE_CELL] = old[at + VALUE_CELL] ?? EMPTY;
      this.cells[to + EXTRA_CELL] = old[at + EXTRA_CELL] ?? 0;
    }
  }
}

function emptyCells(capacity: number): Int32Array {
  return new Int32Array(capacity * CELLS_PER_ENTRY).fill(EMPTY);
}
