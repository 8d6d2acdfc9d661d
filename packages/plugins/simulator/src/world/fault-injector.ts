import { type ErrorCode, type Random, VdcError } from "@vdc-os/core";
import { type CallFilter, type CallSite, matchesSite } from "./call-log.ts";

/** What goes wrong, and in which calls. What is left out of the filter matches all. */
export interface Fault extends CallFilter {
  /** Only in the nth matching call since the fault was added, 1 for the first. Defaults to each of them. */
  readonly nth?: number;
  /** In this fraction of the matching calls, by the world's seed. Not with `nth`. */
  readonly probability?: number;
  /** The call fails with this, and nothing has happened. */
  readonly error?: ErrorCode | VdcError;
  /** The call takes so much longer, in milliseconds of the world's clock. */
  readonly delayMs?: number;
  /** The call never ends of its own accord: only by its signal. Nothing has happened. */
  readonly hang?: boolean;
  /** The call does all that it should, and its answer is lost: it fails with `UNAVAILABLE`. A host's connections end with it. */
  readonly crashAfter?: boolean;
}

/** What a call is to suffer. */
export type Suffering = Pick<Fault, "delayMs" | "hang" | "crashAfter"> & { readonly error?: VdcError };

interface ArmedFault {
  readonly fault: Fault;
  seen: number;
}

/** Decides which calls go wrong, and how: the same seed and calls always suffer the same. */
export class FaultInjector {
  readonly #random: Random;
  readonly #armed: Set<ArmedFault> = new Set();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Adds a fault. Returns what takes it away again. */
  add(fault: Fault): () => void {
    if (fault.nth !== undefined && fault.probability !== undefined) {
      throw new VdcError("INVALID_ARGUMENT", "a fault has 'nth' or 'probability', not both");
    }
    const armed = { fault, seen: 0 };
    this.#armed.add(armed);
    return () => void this.#armed.delete(armed);
  }

  /** Takes all faults away. */
  clear(): void {
    this.#armed.clear();
  }

  /** What this call is to suffer. Counts it. */
  take(site: CallSite): Suffering {
    const suffering: { delayMs: number; hang: boolean; crashAfter: boolean; error?: VdcError } = {
      delayMs: 0,
      hang: false,
      crashAfter: false,
    };
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (!matchesSite(fault, site)) continue;
      armed.seen += 1;
      if (fault.nth !== undefined && fault.nth !== armed.seen) continue;
      if (fault.probability !== undefined && this.#random.next() >= fault.probability) continue;
      suffering.delayMs += fault.delayMs ?? 0;
      suffering.hang ||= fault.hang === true;
      suffering.crashAfter ||= fault.crashAfter === true;
      if (fault.error !== undefined) suffering.error ??= errorOf(fault.error, site);
    }
    return suffering;
  }
}

function errorOf(error: ErrorCode | VdcError, site: CallSite): VdcError {
  if (typeof error !== "string") return error;
  return new VdcError(error, `simulated fault: '${site.operation}' of ${site.point} '${site.name}' was made to fail`, {
    reason: "VDC_SIMULATED_FAULT",
  });
}
