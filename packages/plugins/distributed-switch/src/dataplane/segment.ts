import { MAX_VNI } from "./vxlan-header.ts";

/**
 * A switch's VLANs travel each in a VNI of its own: `vniBase + VLAN`, where `vniBase` is a multiple of 4096 that no other switch
 * shares; VLAN 0 is the untagged segment.
 *
 * The other choice, one VNI per switch with the 802.1Q tag kept inside, is what RFC 7348 section 6.1 advises against. One VNI per VLAN
 * keeps the isolation outside of what a guest can write, lets any other VTEP (the kernel's, Open vSwitch's) join a single VLAN, and
 * needs no configured list even for a trunk of all VLANs. Its price: the 802.1p priority isn't carried between hosts.
 */
export const VNIS_PER_SWITCH = 4096;

/** The largest `vniBase`. */
export const MAX_VNI_BASE: number = MAX_VNI + 1 - VNIS_PER_SWITCH;

/** Splits a VNI. Every number of 24 bits has an answer; whether a switch has this base is the caller's question. */
export function splitVni(vni: number): { readonly vniBase: number; readonly vlan: number } {
  const vlan = vni % VNIS_PER_SWITCH;
  return { vniBase: vni - vlan, vlan };
}
