import type { ChainLayer } from "./chain-map.ts";
import type { DirtyRange } from "./tracked-bitmap.ts";

/**
 * Where each unit of a disk lies, in one number: equal numbers of two disks that were mapped together mean equal content. The other way round that
 * need not be so.
 */
export interface DiskMap {
  readonly sizeBytes: number;
  readonly unitBytes: number;
  readonly units: Float64Array;
}

const MIN_UNIT_BYTES = 4096;
/** Reads as zeros, whoever says so. */
const ZERO = -1;
/** Below this, each number stands once: the unit equals no other. */
const UNIQUE = -(2 ** 52);
/** Host offsets are multiples of 512, so that many layers fit in below. */
const MAX_LAYERS = 512;
/** So many are looked at together: few enough to stay in the processor's cache. */
const SPAN_UNITS = 1024;

/** Maps chains of layers, each from the top down, so that they can be compared. A layer that is in several of them is known by its file. */
export function mapTogether(chains: readonly (readonly ChainLayer[])[]): DiskMap[] {
  const known = new Map<string, number>();
  const sizes = chains.flat().flatMap((layer) => (layer.kind === "image" ? [layer.core.geometry.subclusterSize] : []));
  const unitBytes = Math.max(MIN_UNIT_BYTES, Math.min(...sizes));
  let unique = UNIQUE;
  return chains.map((layers) => {
    const sizeBytes = sizeOf(layers[0]);
    const units = new Float64Array(Math.ceil(sizeBytes / unitBytes)).fill(ZERO);
    const ids = layers.map((layer) => idOf(layer, known));
    const mark = (from: number, to: number, value: number | undefined, step: number): void => {
      const first = Math.floor(from / unitBytes);
      const end = Math.ceil(to / unitBytes);
      for (let unit = first, at = value ?? 0; unit < end; unit++, at += step)
        units[unit] = value === undefined ? --unique : at;
      if (from % unitBytes !== 0) units[first] = --unique;
      if (to % unitBytes !== 0 && to !== sizeBytes) units[end - 1] = --unique;
    };
    const resolve = (depth: number, from: number, to: number): void => {
      const layer = layers[depth];
      const id = ids[depth];
      const end = Math.min(to, sizeOf(layer));
      if (layer === undefined || end <= from) return;
      if (layer.kind !== "image") {
        mark(from, end, layer.kind === "raw" && id !== undefined ? from + id : undefined, unitBytes);
        return;
      }
      for (let at = from; at < end; ) {
        const run = layer.core.mapping.lookup(at, end - at);
        const stop = at + run.length;
        if (run.kind === "unallocated") resolve(depth + 1, at, stop);
        else if (run.kind === "zero") mark(at, stop, ZERO, 0);
        else if (id === undefined) mark(at, stop, undefined, 0);
        else if (run.kind === "data") mark(at, stop, run.hostOffset + id, unitBytes);
        else mark(at, stop, -2 - run.hostOffset * MAX_LAYERS - id, 0);
        at = stop;
      }
    };
    resolve(0, 0, sizeBytes);
    return { sizeBytes, unitBytes, units };
  });
}

/**
 * The ranges of `after` that may differ from `before`, in order and merged; both were mapped together. What only one of the disks reaches differs unless it
 * reads as zeros.
 */
export function changedBetween(before: DiskMap, after: DiskMap): DirtyRange[] {
  const { unitBytes, sizeBytes } = after;
  const ranges: DirtyRange[] = [];
  const [old, now] = [before.units, after.units];
  const shared = Math.min(old.length, now.length);
  const [left, right] = [bytesOf(old), bytesOf(now)];
  const add = (first: number, end: number): void => {
    const offset = first * unitBytes;
    const last = ranges.at(-1);
    const length = Math.min(end * unitBytes, sizeBytes) - offset;
    if (last !== undefined && last.offset + last.length === offset) {
      ranges[ranges.length - 1] = { offset: last.offset, length: last.length + length };
    } else ranges.push({ offset, length });
  };
  // Where nothing changed lately the machine compares a span in one go. Where something did, that would mostly be for nothing.
  let isQuiet = true;
  for (let span = 0; span < shared; span += SPAN_UNITS) {
    const end = Math.min(shared, span + SPAN_UNITS);
    if (isQuiet && left.compare(right, span * 8, end * 8, span * 8, end * 8) === 0) continue;
    isQuiet = true;
    for (let unit = firstDifference(old, now, span, end); unit < end; unit = firstDifference(old, now, unit, end)) {
      const first = unit;
      while (unit < end && old[unit] !== now[unit]) unit++;
      add(first, unit);
      isQuiet = false;
    }
  }
  for (let unit = shared; unit < now.length; unit++) if (now[unit] !== ZERO) add(unit, unit + 1);
  return ranges;
}

/** Where two maps differ first, or `end`. Eight at a time: the loop itself costs more than what is done in it. */
function firstDifference(a: Float64Array, b: Float64Array, from: number, end: number): number {
  let at = from;
  for (; at + 8 <= end; at += 8) {
    if (a[at] !== b[at] || a[at + 1] !== b[at + 1] || a[at + 2] !== b[at + 2] || a[at + 3] !== b[at + 3]) break;
    if (a[at + 4] !== b[at + 4] || a[at + 5] !== b[at + 5] || a[at + 6] !== b[at + 6] || a[at + 7] !== b[at + 7]) break;
  }
  while (at < end && a[at] === b[at]) at++;
  return at;
}

function bytesOf(units: Float64Array): Buffer {
  return Buffer.from(units.buffer, units.byteOffset, units.byteLength);
}

function sizeOf(layer: ChainLayer | undefined): number {
  if (layer === undefined) return 0;
  return layer.kind === "image" ? layer.core.virtualSizeBytes : layer.sizeBytes;
}

/** The number of a layer's file; `undefined` for what has none, or when there are too many. */
function idOf(layer: ChainLayer, known: Map<string, number>): number | undefined {
  if (layer.kind === "other") return undefined;
  const file = layer.kind === "image" ? layer.core.data : layer.file;
  const { identity } = file.status();
  const id = known.get(identity) ?? known.size;
  if (id >= MAX_LAYERS) return undefined;
  known.set(identity, id);
  return id;
}
