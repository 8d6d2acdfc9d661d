import {
  ETHERNET_HEADER_BYTES,
  LENGTH_PREFIX_BYTES,
  readTag,
  recordWithoutTag,
  UNTAGGED,
  VLAN_TAG_BYTES,
} from "./ethernet-frame.ts";
import type { FrameInFlight } from "./frame-in-flight.ts";
import { claimsOtherAddress } from "./neighbour-claim.ts";
import type { OwnerIndex } from "./owner-index.ts";
import { macOf } from "./mac-address.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";

/**
 * The first stage: whether a frame may come in at all, and in which VLAN. Checks the port's state, the frame's form, its tag against
 * the port's VLANs, and its source address against the port's security policy.
 */
export class IngressAdmission {
  /** The longest frame without its tag that the switch carries. */
  longest = 0;
  readonly #owners: OwnerIndex;

  constructor(owners: OwnerIndex) {
    this.#owners = owners;
  }

  /** Finds the VLAN of a frame from a port, and why it is refused. The frame holds an Ethernet header. */
  fromPort(port: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    if (port.blocked) return "blocked";
    if (port.mirrorTarget) return "mirrorDestination";
    if (port.gate === "drop") return "gateDrop";
    const { buffer, start, end } = frame;
    const tag = readTag(buffer, start, end);
    frame.tagged = tag !== UNTAGGED;
    const longest = Math.min(port.longest, this.longest);
    const malformed = this.#malformed(frame, frame.tagged ? longest + VLAN_TAG_BYTES : longest);
    if (malformed !== undefined) return malformed;
    const vlan = port.membership.classify(tag);
    if (typeof vlan === "string") return vlan;
    frame.vlan = vlan;
    if (!port.owns(frame.fromHigh, frame.fromLow) && !this.#acceptSource(port, frame)) return "forgedTransmit";
    if (!port.forgedTransmits && claimsOtherAddress(frame)) return "arpSpoof";
    this.#readTagFlags(port, frame, tag);
    return undefined;
  }

  /** Why an untagged frame from another host is refused. The frame holds an Ethernet header. */
  fromPeer(frame: FrameInFlight): InDropReason | undefined {
    const malformed = this.#malformed(frame, this.longest);
    if (malformed !== undefined) return malformed;
    return readTag(frame.buffer, frame.start, frame.end) === UNTAGGED ? undefined : "unsupportedTag";
  }

  /** Finds the VLAN of a frame from the physical network, and why it is refused. The frame holds an Ethernet header. */
  fromUplink(uplink: SwitchPort, frame: FrameInFlight): InDropReason | undefined {
    const { buffer, start, end } = frame;
    const tag = readTag(buffer, start, end);
    frame.tagged = tag !== UNTAGGED;
    const malformed = this.#malformed(frame, frame.tagged ? this.longest + VLAN_TAG_BYTES : this.longest);
    if (malformed !== undefined) return malformed;
    const vlan = uplink.membership.classify(tag);
    if (typeof vlan === "string") return vlan;
    frame.vlan = vlan;
    this.#readTagFlags(uplink, frame, tag);
    return undefined;
  }

  /** Keeps what a tag says besides the VLAN, and takes it off where it says no VLAN. */
  #readTagFlags(port: SwitchPort, frame: FrameInFlight, tag: number): void {
    if (!frame.tagged) return;
    frame.tagFlags = tag >>> 12;
    if (port.membership.tags(frame.vlan)) return;
    // A priority tag, or the native VLAN tagged: inside the switch this VLAN is untagged at this port.
    const record = recordWithoutTag(frame.buffer, frame.start, frame.end);
    frame.replace(record, LENGTH_PREFIX_BYTES, record.length);
    frame.tagged = false;
  }

  #malformed(frame: FrameInFlight, longest: number): InDropReason | undefined {
    if (frame.end - frame.start > longest) return "tooLong";
    const { fromHigh, fromLow } = frame;
    if ((fromHigh & 0x100) !== 0 || (fromHigh === 0 && fromLow === 0)) return "invalidSource";
    // 01:80:C2:00:00:00 to 0F: what a bridge never forwards (IEEE 802.1Q-2018, 8.6.3).
    return frame.toHigh === 0x0180 && (frame.toLow & ~0xf) === LINK_LOCAL_LOW ? "linkLocal" : undefined;
  }

  #acceptSource(port: SwitchPort, frame: FrameInFlight): boolean {
    // Behind a learning port are many stations: none of them is the NIC's new address.
    if (port.forgedTransmits && port.learns) return true;
    if (!port.macChanges) return port.forgedTransmits;
    this.changeAddress(port, macOf(frame.fromHigh, frame.fromLow));
    return true;
  }

  /** Gives a port another address of its own besides the assigned one. */
  changeAddress(port: SwitchPort, mac: number): void {
    this.#owners.remove(port, port.effectiveMac);
    port.effectiveMac = mac;
    this.#owners.add(port, mac);
    this.#owners.add(port, port.assignedMac);
  }
}

const LINK_LOCAL_LOW = 0xc200_0000 | 0;

/** Whether `buffer[start, end)` is too short to have addresses and an EtherType. */
export function isRunt(start: number, end: number): boolean {
  return end - start < ETHERNET_HEADER_BYTES;
}
