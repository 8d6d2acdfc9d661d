import { type TagControl, tagVlan, UNSUPPORTED_TAG, UNTAGGED } from "./ethernet-frame.ts";

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
 *   itself listed, and are dropped otherwise.
 */
export type VlanSetting =
  | { readonly kind: "none" }
  | { readonly kind: "access"; readonly id: number }
  | { readonly kind: "trunk"; readonly ranges: readonly VlanRange[]; readonly native?: number | undefined };

/** The VLAN number that stands for the untagged segment: 802.1Q reserves 0 for "no VLAN". */
export const UNTAGGED_SEGMENT = 0;

/** Why a port doesn't take a frame in. */
export type VlanRefusal = "taggedOnAccess" | "untaggedOnTrunk" | "vlanNotAllowed" | "unsupportedTag";

/** A `VlanSetting` compiled for the forwarding path: which VLANs a port is in, and how it tags them. */
export class VlanMembership {
  readonly #trunk: Uint8Array | undefined;
  /** The VLAN of untagged frames, or -1. */
  readonly #untagged: number;

  constructor(setting: VlanSetting) {
    if (setting.kind === "trunk") {
      const allowed = new Uint8Array(4096);
      for (const { from, to } of setting.ranges) allowed.fill(1, Math.max(1, from), Math.min(4094, to) + 1);
      this.#trunk = allowed;
      this.#untagged = setting.native !== undefined && allowed[setting.native] === 1 ? setting.native : -1;
    } else {
      this.#trunk = undefined;
      this.#untagged = setting.kind === "access" ? setting.id : UNTAGGED_SEGMENT;
    }
  }

  /** Whether frames of `vlan` leave through this port. */
  admits(vlan: number): boolean {
    return this.#trunk === undefined ? vlan === this.#untagged : this.#trunk[vlan] === 1;
  }

  /** The VLAN of untagged frames, or undefined when the port has none. */
  get untaggedVlan(): number | undefined {
    return this.#untagged < 0 ? undefined : this.#untagged;
  }

  /** The VLAN of a frame with this tag arriving at the port, or why it is dropped. */
  classify(tag: TagControl): number | VlanRefusal {
    if (tag === UNSUPPORTED_TAG) return this.#trunk === undefined ? "taggedOnAccess" : "unsupportedTag";
    // A priority tag (VLAN 0) says nothing about the VLAN: 802.1Q-2018, 6.9.1 treats the frame as untagged.
    if (tag === UNTAGGED || tagVlan(tag) === 0) return this.#untagged < 0 ? "untaggedOnTrunk" : this.#untagged;
    if (this.#trunk === undefined) return "taggedOnAccess";
    const vlan = tagVlan(tag);
    return this.#trunk[vlan] === 1 ? vlan : "vlanNotAllowed";
  }

  /** Whether a frame of `vlan`, which the port admits, leaves with a tag. */
  tags(vlan: number): boolean {
    return this.#trunk !== undefined && vlan !== this.#untagged;
  }
}
