import { type MacAddress, macHigh, macLow } from "./mac-address.ts";

/** Why a frame arriving from a NIC or a tunnel went nowhere. */
export type InDropReason =
  | "blocked"
  | "gateDrop"
  | "holdFull"
  | "holdDiscarded"
  | "runt"
  | "tooLong"
  | "invalidSource"
  | "linkLocal"
  | "taggedOnAccess"
  | "untaggedOnTrunk"
  | "vlanNotAllowed"
  | "unsupportedTag"
  | "forgedTransmit"
  | "learningLimit"
  | "mirrorDestination"
  | "filtered"
  | "rateLimited"
  | "shaped"
  | "privateVlan"
  | "toItself"
  | "splitHorizon"
  | "noUplink"
  | "looped"
  | "reverseFilter"
  | "arpSpoof"
  | "fenced"
  | "noDestination";

/** Why a frame that the switch sent towards a NIC or a peer didn't leave. */
export type OutDropReason =
  | "blocked"
  | "gateDrop"
  | "linkDown"
  | "queueFull"
  | "looped"
  | "tunnelMtu"
  | "tooLong"
  | "filtered"
  | "rateLimited"
  | "shaped";

/** One direction's counters, as data. `drops` lists only reasons that occurred. */
export interface TrafficStatistics<Reason extends string> {
  readonly frames: number;
  readonly octets: number;
  readonly broadcast: number;
  readonly multicast: number;
  readonly dropped: number;
  readonly drops: Readonly<Partial<Record<Reason, number>>>;
}

const OCTET_BLOCK = 2 ** 30;

/**
 * Counts one direction of a port or a peer. Octets are those of Ethernet frames without preamble and check sequence, tags included,
 * length prefixes and tunnel headers not.
 */
export class TrafficCounters<Reason extends string> {
  #frames = 0;
  /** In two parts: an integer of less than 32 bits is changed in place, and a larger number is a thing of its own in memory. */
  #octets = 0;
  #octetBlocks = 0;
  #broadcast = 0;
  #multicast = 0;
  #dropped = 0;
  readonly #drops = new Map<Reason, number>();

  /** Counts a frame of `octets` octets; call `cast` too when its destination is known. */
  frame(octets: number): void {
    this.#frames += 1;
    this.#octets += octets;
    if (this.#octets < OCTET_BLOCK) return;
    this.#octets -= OCTET_BLOCK;
    this.#octetBlocks += 1;
  }

  cast(destination: MacAddress): void {
    this.castHalves(macHigh(destination), macLow(destination));
  }

  /** `cast` for an address given by its halves. */
  castHalves(high: number, low: number): void {
    if ((high & 0x100) === 0) return;
    if (high === 0xffff && low === -1) this.#broadcast += 1;
    else this.#multicast += 1;
  }

  drop(reason: Reason, count: number = 1): void {
    if (count === 0) return;
    this.#dropped += count;
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count);
  }

  /** Adds what was counted elsewhere. */
  add({ frames, octets, broadcast, multicast, drops }: TrafficStatistics<Reason>): void {
    this.#frames += frames;
    const total = this.#octets + octets;
    this.#octets = total % OCTET_BLOCK;
    this.#octetBlocks += Math.floor(total / OCTET_BLOCK);
    this.#broadcast += broadcast;
    this.#multicast += multicast;
    for (const [reason, count] of Object.entries(drops)) this.drop(reason as Reason, Number(count));
  }

  get frames(): number {
    return this.#frames;
  }

  get dropped(): number {
    return this.#dropped;
  }

  statistics(): TrafficStatistics<Reason> {
    return {
      frames: this.#frames,
      octets: this.#octetBlocks * OCTET_BLOCK + this.#octets,
      broadcast: this.#broadcast,
      multicast: this.#multicast,
      dropped: this.#dropped,
      drops: Object.fromEntries(this.#drops) as Partial<Record<Reason, number>>,
    };
  }
}
