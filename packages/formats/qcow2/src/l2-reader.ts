import {
  compressedRange,
  entryHasReservedBits,
  entryIsCompressed,
  entryIsCopied,
  entryIsEmpty,
  entryIsZero,
  entryOffset,
} from "./entry.ts";
import { type Geometry, SUBCLUSTERS } from "./geometry.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { allocatedBits, subclusterKind, zeroBits } from "./subcluster.ts";

export type RunKind = "unallocated" | "zero" | "data" | "compressed";

/**
 * A run of guest bytes that one kind of entry maps. For `data`, `hostOffset` is where its first byte lies and `inPlace` says that the bytes
 * may be overwritten there; for `compressed`, host offset and length are the compressed bytes', and the run ends with its cluster.
 */
export interface Run {
  readonly kind: RunKind;
  readonly length: number;
  readonly hostOffset: number;
  readonly hostLength: number;
  readonly inPlace: boolean;
}

/** An extended L2 entry, as words of 32 bits. `hostOffset` is absent when the entry has no host cluster. */
export interface SubclusterState {
  readonly compressed: boolean;
  readonly hostOffset: number | undefined;
  /** Whether the host cluster may be written. */
  readonly inPlace: boolean;
  readonly allocated: number;
  readonly zero: number;
}

export interface L2ReaderOptions {
  readonly file: { readonly path: string };
  readonly geometry: Geometry;
  readonly version: 2 | 3;
  /** Whether guest data lies in an external file, each cluster at its guest offset. */
  readonly externalData: boolean;
}

/** What the entries of an L2 table mean, each checked before it is believed. */
export class L2Reader {
  readonly #path: string;
  readonly #geometry: Geometry;
  readonly #version: 2 | 3;
  readonly #externalData: boolean;

  constructor(options: L2ReaderOptions) {
    this.#path = options.file.path;
    this.#geometry = options.geometry;
    this.#version = options.version;
    this.#externalData = options.externalData;
  }

  /** The run that begins at guest offset `offset`, whose entry is at `start`; at most `covered` bytes, all of them in this table. */
  run(data: Buffer, start: number, offset: number, covered: number): Run {
    const { clusterSize, clusterBits } = this.#geometry;
    const within = offset % clusterSize;
    if (this.#geometry.extendedL2 && !entryIsCompressed(data, start)) {
      return this.#lookupSubclusters(data, start, offset, covered);
    }
    const kind = this.#kindAt(data, start);
    if (kind === "compressed") {
      this.#assertInFile(offset);
      const range = compressedRange(data, start, clusterBits);
      if (range === undefined) throw this.#corrupt(offset, "exceeds 2^53-1");
      const runLength = Math.min(covered, clusterSize - within);
      return { kind, length: runLength, hostOffset: range.offset, hostLength: range.length, inPlace: false };
    }
    const host = kind === "data" ? this.#hostAt(data, start, offset) : 0;
    const inPlace = kind === "data" && entryIsCopied(data, start);
    let runLength = clusterSize - within;
    for (let at = start + 8; runLength < covered; at += 8, runLength += clusterSize) {
      if (this.#kindAt(data, at) !== kind) break;
      if (kind === "data") {
        if (entryIsCopied(data, at) !== inPlace) break;
        if (this.#hostAt(data, at, offset + runLength) !== host + runLength + within) break;
      }
    }
    runLength = Math.min(runLength, covered);
    return { kind, length: runLength, hostOffset: host + within, hostLength: runLength, inPlace };
  }

  /** The state of an extended entry, checked. */
  subclusters(data: Buffer, at: number, guestOffset: number): SubclusterState {
    if (entryIsCompressed(data, at)) {
      this.#assertInFile(guestOffset);
      return { compressed: true, hostOffset: undefined, inPlace: false, allocated: 0, zero: 0 };
    }
    const hostOffset = this.#isEmptyHost(data, at) ? undefined : this.#hostAt(data, at, guestOffset);
    const allocated = allocatedBits(data, at);
    const zero = zeroBits(data, at);
    if ((allocated & zero) !== 0 || (hostOffset === undefined && allocated !== 0)) {
      throw this.#corrupt(guestOffset, "is not valid");
    }
    return { compressed: false, hostOffset, inPlace: entryIsCopied(data, at), allocated, zero };
  }

  #assertInFile(guestOffset: number): void {
    if (this.#externalData)
      throw this.#corrupt(guestOffset, "is compressed, which an external data file does not allow");
  }

  #kindAt(data: Buffer, at: number): RunKind {
    if (entryIsEmpty(data, at)) return "unallocated";
    if (entryIsCompressed(data, at)) return "compressed";
    if (entryIsZero(data, at) && this.#version === 3) return "zero";
    return this.#isEmptyHost(data, at) ? "unallocated" : "data";
  }

  /** With external data, host offset 0 is where guest offset 0 lies; the copied flag tells it from an empty entry. */
  #isEmptyHost(data: Buffer, at: number): boolean {
    return entryOffset(data, at) === 0 && !(this.#externalData && entryIsCopied(data, at));
  }

  /** As `lookup` in an extended entry that is not compressed: runs may begin and end at any subcluster. */
  #lookupSubclusters(data: Buffer, start: number, offset: number, covered: number): Run {
    const { clusterSize, subclusterSize } = this.#geometry;
    const within = offset % clusterSize;
    let at = start;
    let index = Math.floor(within / subclusterSize);
    const kind = this.#subclusterAt(data, at, index, offset);
    const inPlace = kind === "data" && entryIsCopied(data, at);
    const host = kind === "data" ? this.#hostAt(data, at, offset) + within : 0;
    let length = subclusterSize - (within % subclusterSize);
    while (length < covered) {
      index++;
      if (index === SUBCLUSTERS) {
        index = 0;
        at += this.#geometry.l2EntryBytes;
        if (entryIsCompressed(data, at)) break;
        if (kind === "data" && !this.#isEmptyHost(data, at)) {
          if (entryIsCopied(data, at) !== inPlace) break;
          if (this.#hostAt(data, at, offset + length) !== host + length) break;
        }
      }
      if (this.#subclusterAt(data, at, index, offset + length) !== kind) break;
      length += subclusterSize;
    }
    length = Math.min(length, covered);
    return { kind, length, hostOffset: host, hostLength: length, inPlace };
  }

  #subclusterAt(data: Buffer, at: number, index: number, guestOffset: number): "unallocated" | "zero" | "data" {
    const kind = subclusterKind(data, at, index);
    if (kind === "invalid" || (kind === "data" && this.#isEmptyHost(data, at))) {
      throw this.#corrupt(guestOffset, "is not valid");
    }
    return kind;
  }

  #hostAt(data: Buffer, at: number, guestOffset: number): number {
    const host = entryOffset(data, at);
    const { clusterSize } = this.#geometry;
    if (host === undefined || host % clusterSize !== 0 || entryHasReservedBits(data, at)) {
      throw this.#corrupt(guestOffset, "is not valid");
    }
    if (this.#externalData && host !== guestOffset - (guestOffset % clusterSize)) {
      throw this.#corrupt(guestOffset, "does not lie at its guest offset in the data file");
    }
    return host;
  }

  #corrupt(guestOffset: number, what: string): Qcow2Error {
    return new Qcow2Error("CORRUPT", `'${this.#path}': the L2 entry of guest offset ${guestOffset} ${what}`);
  }
}
