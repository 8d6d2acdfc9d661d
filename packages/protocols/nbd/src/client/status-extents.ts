import type { BlockExtent, DirtyExtent } from "../block-backend.ts";
import * as wire from "../wire/wire-constants.ts";

/** A run of bytes with its flags in a metadata context. */
export interface NbdStateExtent {
  /** In bytes. */
  readonly length: number;
  readonly state: number;
}

/**
 * The descriptors of a block status, cut at the `asked` bytes that it was about: the last one may reach further. Undefined when they
 * are malformed.
 */
export function decodeStates(payload: Buffer, asked: number): NbdStateExtent[] | undefined {
  const extents: NbdStateExtent[] = [];
  let left = asked;
  for (let at = 0; at < payload.length && left > 0; at += 8) {
    const bytes = payload.readUInt32BE(at);
    if (bytes === 0) return undefined;
    extents.push({ length: Math.min(bytes, left), state: payload.readUInt32BE(at + 4) });
    left -= bytes;
  }
  return extents;
}

/** An extent of `base:allocation`. */
export function allocationOf({ length, state }: NbdStateExtent): BlockExtent {
  // A hole that does not read as zeroes may hold anything.
  if ((state & wire.STATE_ZERO) === 0) return { length, kind: "data" };
  return { length, kind: (state & wire.STATE_HOLE) === 0 ? "zero" : "hole" };
}

/** An extent of `qemu:dirty-bitmap:NAME`. */
export function dirtinessOf({ length, state }: NbdStateExtent): DirtyExtent {
  return { length, dirty: (state & wire.STATE_DIRTY) !== 0 };
}
