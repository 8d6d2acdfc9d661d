import { type BlockBackend, isPending } from "../block-backend.ts";
import type { ReadPart } from "./reply-encoder.ts";

/** Reads below this are answered whole: asking for extents would cost more than sending zeroes. */
export const SPARSE_READ_BYTES: number = 64 * 1024;
/** Zeroes below this are sent: a part of its own costs more. */
const MIN_HOLE_BYTES = 4096;
/** So many parts are one answer at most; what follows is sent as data. */
const MAX_PARTS = 64;

/** A part of a read, which is all zeroes where it is a hole. */
export interface SparsePart extends ReadPart {
  readonly isHole: boolean;
}

/** Divides a read into data and zeroes. Undefined where the backend knows no zeroes worth it. */
export function divideRead(backend: BlockBackend, offset: number, length: number): readonly SparsePart[] | undefined {
  const extents = backend.extents?.(offset, length) ?? [];
  if (isPending(extents)) {
    // Against the backend's word; waiting for it would cost a read more than it saves.
    extents.then(undefined, () => {});
    return undefined;
  }
  const end = offset + length;
  const parts: { offset: number; length: number; isHole: boolean }[] = [];
  const add = (from: number, to: number, isHole: boolean): void => {
    const last = parts.at(-1);
    if (last?.isHole === isHole) last.length += to - from;
    else if (to > from) parts.push({ offset: from, length: to - from, isHole });
  };
  /** Where what is not yet in a part begins. */
  let at = offset;
  let position = offset;
  for (const extent of extents) {
    if (position >= end || parts.length >= MAX_PARTS - 2) break;
    const from = position;
    position = Math.min(end, position + extent.length);
    if (extent.kind === "data" || position - from < MIN_HOLE_BYTES) continue;
    add(at, from, false);
    add(from, position, true);
    at = position;
  }
  if (parts.length === 0) return undefined;
  add(at, end, false);
  return parts.map((part, index) => ({ ...part, isLast: index === parts.length - 1 }));
}
