import { type TagControl, tagVlan, UNSUPPORTED_TAG, UNTAGGED } from "./ethernet-frame.ts";
import { type PrivateVlan, PrivateVlans } from "./private-vlans.ts";

/** Both ends are part of the range; ids are 1 to 4094. */
export interface VlanRange {
  readonly from: number;
  readonly to: number;
}

/**
 * The VLAN policy of a port.
 * - `none`: the switch's untagged segment, kept apart from every VLAN.
 * - `access`: untagged frames of one VLAN. A tagged frame is dropped, even when its tag is that VLAN.
 * - `trunk`: tagged frames of the listed VLANs; an empty list passes nothing. Untagged frames belong to `native`, if that VLAN is
 *   itself listed, and are dropped otherwise. Of a private VLAN it carries the primary and the secondaries that it lists, each as itself.
 * - `pvlan`: untagged frames of a private VLAN (RFC 5517). What the port sends travels in its secondary VLAN (a promiscuous port's in the
 *   primary). Promiscuous ports get everything of the primary and its secondaries; community ports what their community and promiscuous
 *   ports send; isolated ports what promiscuous ports send. The `secondary` of a promiscuous port isn't looked at.
 */
export type VlanSetting =
  | { readonly kind: "none" }
  | { readonly kind: "access"; readonly id: number }
  | { readonly kind: "trunk"; readonly ranges: readonly VlanRange[]; readonly native?: number | undefined }
  | {
      readonly kind: "pvlan";
      readonly primary: number;
      readonly secondary: number;
      readonly role: "promiscuous" | "isolated" | "community";
    };

/** The membership of an uplink: every VLAN, tagged, and the untagged segment without a tag. */
export const UPLINK = { kind: "uplink" } as const;

/** The VLAN number that stands for the untagged segment: 802.1Q reserves 0 for "no VLAN". */
export const UNTAGGED_SEGMENT = 0;

/** Why a port doesn't take a frame in. */
export type VlanRefusal = "taggedOnAccess" | "untaggedOnTrunk" | "vlanNotAllowed" | "unsupportedTag";

const NOT_PRIVATE = new PrivateVlans();

/** A `VlanSetting` compiled for the forwarding path: which VLANs a port is in, and how it tags them. */
export class VlanMembership {
  readonly #privateVlans: PrivateVlans;
  readonly #trunk: Uint32Array | undefined;
  /** The VLAN of untagged frames that come in, or -1. */
  readonly #untagged: number;
  /** The VLANs whose frames leave a port that is no trunk: two at most, or all of a promiscuous port's primary. */
  readonly #first: number;
  readonly #second: number;
  readonly #primary: number;
  /** The pair that a community or isolated port brings. */
  readonly privateVlan: PrivateVlan | undefined;

  constructor(setting: VlanSetting | typeof UPLINK, privateVlans: PrivateVlans = NOT_PRIVATE) {
    this.#privateVlans = privateVlans;
    this.#primary = -1;
    if (setting.kind === "trunk") {
      this.#trunk = trunkBits(setting.ranges.map(({ from, to }) => ({ from: Math.max(1, from), to })));
      const { native } = setting;
      this.#untagged = native !== undefined && hasBit(this.#trunk, native) ? native : -1;
      this.#first = this.#second = -1;
    } else if (setting.kind === "uplink") {
      this.#trunk = trunkBits([{ from: UNTAGGED_SEGMENT, to: 4094 }]);
      this.#untagged = UNTAGGED_SEGMENT;
      this.#first = this.#second = -1;
    } else if (setting.kind === "pvlan") {
      const { primary, secondary, role } = setting;
      const promiscuous = role === "promiscuous";
      this.#untagged = promiscuous ? primary : secondary;
      this.#first = primary;
      this.#second = role === "community" ? secondary : primary;
      if (promiscuous) this.#primary = primary;
      else this.privateVlan = { primary, secondary };
    } else {
      this.#untagged = this.#first = this.#second = setting.kind === "access" ? setting.id : UNTAGGED_SEGMENT;
    }
  }

  /** Whether frames of `vlan` leave through this port. */
  admits(vlan: number): boolean {
    if (this.#trunk !== undefined) return hasBit(this.#trunk, vlan);
    if (vlan === this.#first || vlan === this.#second) return true;
    return this.#primary >= 0 && this.#privateVlans.primaryOf(vlan) === this.#primary;
  }

  /** Whether frames of `vlan` can come in through this port. */
  takesIn(vlan: number): boolean {
    return this.#trunk !== undefined ? hasBit(this.#trunk, vlan) : vlan === this.#untagged;
  }

  /** Whether the port has to do with any VLAN of this primary's, whichever way. */
  touches(primary: number): boolean {
    if (this.#trunk === undefined) return this.#first >= 0 && this.#privateVlans.primaryOf(this.#first) === primary;
    return hasBit(this.#trunk, primary);
  }

  /** The VLANs that `admits` says yes to; undefined where those are many or can change with the private VLANs. */
  get fewVlans(): readonly number[] | undefined {
    if (this.#trunk !== undefined || this.#primary >= 0) return undefined;
    return this.#first === this.#second ? [this.#first] : [this.#first, this.#second];
  }

  /** The VLAN of untagged frames that come in, or undefined when the port has none. */
  get untaggedVlan(): number | undefined {
    return this.#untagged < 0 ? undefined : this.#untagged;
  }

  /** The VLANs that a trunk carries; none of any other port. */
  get trunkVlans(): readonly number[] {
    const trunk = this.#trunk;
    if (trunk === undefined) return [];
    return Array.from({ length: 4094 }, (_, index) => index + 1).filter((vlan) => hasBit(trunk, vlan));
  }

  /** Whether tagged frames can come in. */
  get isTrunk(): boolean {
    return this.#trunk !== undefined;
  }

  /** The VLAN of a frame with this tag arriving at the port, or why it is dropped. */
  classify(tag: TagControl): number | VlanRefusal {
    if (tag === UNSUPPORTED_TAG) return this.#trunk === undefined ? "taggedOnAccess" : "unsupportedTag";
    // A priority tag (VLAN 0) says nothing about the VLAN: 802.1Q-2018, 6.9.1 treats the frame as untagged.
    if (tag === UNTAGGED || tagVlan(tag) === 0) return this.#untagged < 0 ? "untaggedOnTrunk" : this.#untagged;
    if (this.#trunk === undefined) return "taggedOnAccess";
    const vlan = tagVlan(tag);
    return hasBit(this.#trunk, vlan) ? vlan : "vlanNotAllowed";
  }

  /** Whether a frame of `vlan` leaves with a tag. What is in no VLAN never does, copies for a trunk included. */
  tags(vlan: number): boolean {
    return this.#trunk !== undefined && vlan !== this.#untagged && vlan !== UNTAGGED_SEGMENT;
  }
}

/** One bit per VLAN, 512 octets per trunk. */
function trunkBits(ranges: readonly VlanRange[]): Uint32Array {
  const bits = new Uint32Array(128);
  for (const { from, to } of ranges) {
    for (let vlan = from; vlan <= Math.min(4094, to); vlan += 1) {
      bits[vlan >>> 5] = (bits[vlan >>> 5] ?? 0) | (1 << (vlan & 31));
    }
  }
  return bits;
}

function hasBit(bits: Uint32Array, vlan: number): boolean {
  return ((bits[vlan >>> 5] ?? 0) & (1 << (vlan & 31))) !== 0;
}
