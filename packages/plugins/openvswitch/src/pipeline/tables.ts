/**
 * The way of a frame. Registers: `reg0` is the number of the port that it came in by (0: a tunnel), `reg1` why it is dropped, `reg2` is 1 when it came
 * from a tunnel, `reg3` is the port that it leaves by. Within the switch a frame of a VLAN has its tag, one of the untagged network has none.
 */
export const tables = {
  /** From where. */
  classify: 0,
  /** Blocked, closed, forged. */
  admission: 1,
  /** Which VLAN; copies for mirror sessions. */
  vlan: 2,
  /** The rules on what a VM sends. */
  filterIn: 3,
  limitBits: 4,
  limitPackets: 5,
  /** Whether a host may send from that address. */
  fromTunnel: 6,
  /** Counts each frame of a VM once: under its reason, or as accepted. */
  verdict: 7,
  /** To whom. */
  deliver: 8,
  /** The rules on what a VM gets. */
  filterOut: 9,
  leave: 10,
  droppedOut: 11,
  /** Counts what is for nobody. */
  unknown: 12,
} as const;

/** Why a frame of a VM goes nowhere, by the number that `reg1` has. */
export const dropCodes = {
  blocked: 1,
  gateDrop: 2,
  linkLocal: 3,
  invalidSource: 4,
  forgedTransmit: 5,
  taggedOnAccess: 6,
  untaggedOnTrunk: 7,
  vlanNotAllowed: 8,
  filtered: 9,
} as const;

/** Why a frame of a VM goes nowhere. The last two are not decided in the verdict's table. */
export type DropReason = keyof typeof dropCodes | "noDestination" | "shaped";

/** What the frames of a health check look like: link-local, of an EtherType for local experiments (IEEE 802, 9.2.4). */
export const probeFrames = { destination: "01:80:c2:00:00:0e", etherType: 0x88b6, shownOctets: 64 } as const;

/** The meters of a port. */
export const meterIds = {
  bits: (number: number): number => number * 2,
  packets: (number: number): number => number * 2 + 1,
} as const;
