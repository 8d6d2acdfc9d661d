import type { FrameInFlight } from "./frame-in-flight.ts";
import type { MacTable } from "./mac-table.ts";
import type { PortDirectory } from "./port-directory.ts";
import type { SwitchPort } from "./switch-port.ts";

const WINDOW_MS = 1_000;
const FIRST_BAN_MS = 1_000;
const LONGEST_BAN_MS = 30_000;
/** After so long without a loop the next one is a first one. */
const FORGIVEN_MS = 60_000;

/** What a guard remembers of a port whose VM has sent what came from elsewhere. */
export class LoopWatch {
  /** Since when frames are counted, and how many came. */
  since = 0;
  strangers = 0;
  banMs = 0;
  /** Until when the port is cut off from floods. */
  bannedUntil: number = Number.NEGATIVE_INFINITY;
}

export interface LoopGuardOptions {
  readonly table: MacTable;
  readonly directory: PortDirectory;
  /** How many frames a second a port may send whose sender the switch knows elsewhere in the VLAN. Defaults to `256`. */
  readonly limit?: number | undefined;
}

/**
 * Ends loops that VMs make, such as one that bridges two ports of a VLAN: every flooded frame would come back, and be flooded again, for as long as the
 * machine lasts. Such a VM sends frames whose sender the switch knows elsewhere, another port or another host; an address that moves does so once.
 * A port where more than some hundred of them come in a second is banned: it gets no group frames nor any that are not for its own address, and its
 * frames from senders known elsewhere are dropped, as `looped`; so the loop is open. A ban lasts a second, and each further one twice as long, up to half a minute.
 *
 * Costs frames that a port sends as itself nothing.
 */
export class LoopGuard {
  limit: number;
  readonly #table: MacTable;
  readonly #directory: PortDirectory;

  constructor({ table, directory, limit = 256 }: LoopGuardOptions) {
    this.#table = table;
    this.#directory = directory;
    this.limit = limit;
  }

  /** Whether a frame that a port has sent under a foreign address is part of a loop. One with a trace is not counted. */
  catches(port: SwitchPort, frame: FrameInFlight, now: number): boolean {
    if (!this.#isKnownElsewhere(port, frame, now)) return false;
    const { watch } = port;
    if (watch !== undefined && now < watch.bannedUntil) return true;
    return frame.trace === undefined && this.#count(port, now);
  }

  #isKnownElsewhere(port: SwitchPort, frame: FrameInFlight, now: number): boolean {
    const { owners, privateVlans } = this.#directory;
    const { fromHigh, fromLow } = frame;
    const vlan = privateVlans.primaryOf(frame.vlan);
    for (const owner of owners.find(fromHigh, fromLow)) {
      if (owner !== port && owner.attracts && owner.membership.touches(vlan)) return true;
    }
    const known = this.#table.lookup(vlan, fromHigh, fromLow, now);
    return known !== undefined && known !== port;
  }

  #count(port: SwitchPort, now: number): boolean {
    port.watch ??= new LoopWatch();
    const { watch } = port;
    if (now - watch.since >= WINDOW_MS) {
      watch.since = now;
      watch.strangers = 0;
    }
    watch.strangers += 1;
    if (watch.strangers <= this.limit) return false;
    const again = now - watch.bannedUntil < FORGIVEN_MS;
    watch.banMs = again ? Math.min(watch.banMs * 2, LONGEST_BAN_MS) : FIRST_BAN_MS;
    watch.bannedUntil = now + watch.banMs;
    watch.strangers = 0;
    return true;
  }
}
