import type { FrameInFlight } from "./frame-in-flight.ts";
import type { MacTable } from "./mac-table.ts";
import type { MulticastSnooping } from "./multicast-snooping.ts";
import type { OwnerIndex } from "./owner-index.ts";
import type { PrivateVlans } from "./private-vlans.ts";
import { SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import type { VlanIndex } from "./vlan-index.ts";

export interface ForwardingOptions {
  readonly table: MacTable;
  readonly owners: OwnerIndex;
  readonly vlans: VlanIndex;
  readonly privateVlans: PrivateVlans;
  readonly snooping: MulticastSnooping;
}

/** The decision to which places a frame goes. It reads tables and writes its answer into the frame; it changes nothing else. */
export class Forwarding {
  readonly #table: MacTable;
  readonly #owners: OwnerIndex;
  readonly #vlans: VlanIndex;
  readonly #privateVlans: PrivateVlans;
  readonly #snooping: MulticastSnooping;
  #number = 0;

  constructor({ table, owners, vlans, privateVlans, snooping }: ForwardingOptions) {
    this.#table = table;
    this.#owners = owners;
    this.#vlans = vlans;
    this.#privateVlans = privateVlans;
    this.#snooping = snooping;
  }

  /**
   * Fills in the frame's `ports`, `peers` and `allPeers`, which without a tunnel stand for the uplinks. Returns the reason that holds if none of them takes the frame.
   * A frame that isn't from a port of this host goes to ports of this host only (split horizon).
   */
  decide(frame: FrameInFlight, now: number): InDropReason {
    this.#number += 1;
    const { from, vlan } = frame;
    // The frame's own number at its source keeps it from ever being sent back there.
    if (from !== undefined) from.lastFrame = this.#number;
    return frame.group ? this.#toGroup(frame, now) : this.#toStation(frame, vlan, now);
  }

  #toGroup(frame: FrameInFlight, now: number): InDropReason {
    if (this.#snooping.enabled) {
      const decision = this.#snooping.decide(frame, this.#privateVlans.primaryOf(frame.vlan), now);
      if (decision !== "flood") return this.#toMembers(frame, decision);
    }
    for (const port of this.#vlans.portsOf(frame.vlan).all) this.#addPort(frame, port);
    frame.allPeers = frame.from !== undefined;
    return "noDestination";
  }

  /** To who asked for the group, or of reports to the routers. */
  #toMembers(frame: FrameInFlight, decision: "members" | "routers"): InDropReason {
    const { from, vlan } = frame;
    for (const place of this.#snooping.targets) {
      if (place instanceof SwitchPort) {
        if (place.membership.admits(vlan) && !place.mirrorTarget) this.#addPort(frame, place);
      } else if (from !== undefined && decision === "members") frame.peers.push(place);
    }
    for (const port of this.#vlans.portsOf(vlan).promiscuous) this.#addPort(frame, port);
    // Every host must know the members, whichever of them has the router.
    frame.allPeers = from !== undefined && decision === "routers";
    return "noDestination";
  }

  #toStation(frame: FrameInFlight, vlan: number, now: number): InDropReason {
    const { toHigh, toLow, from } = frame;
    const primary = this.#privateVlans.primaryOf(vlan);
    let refusal: InDropReason = "noDestination";
    let known = false;
    const owners = this.#owners.find(toHigh, toLow);
    for (const owner of owners) {
      if (!owner.attracts) continue;
      if (owner.membership.admits(vlan)) {
        known = true;
        if (owner === from) refusal = "toItself";
        this.#addPort(frame, owner);
      } else if (owner.membership.touches(primary)) {
        // The station is here, but not for this sender.
        known = true;
        refusal = owner === from ? "toItself" : "privateVlan";
      }
    }
    if (!known) refusal = this.#toElsewhere(frame, primary, now, owners);
    for (const port of this.#vlans.portsOf(vlan).promiscuous) this.#addPort(frame, port);
    return refusal;
  }

  /** To where the address was learned, or to everybody who gets what is unknown. */
  #toElsewhere(frame: FrameInFlight, primary: number, now: number, absentOwners: readonly SwitchPort[]): InDropReason {
    const { from, origin, vlan } = frame;
    const learned =
      frame.sourceLearned && frame.toSource ? origin : this.#table.lookup(primary, frame.toHigh, frame.toLow, now);
    if (learned instanceof SwitchPort) {
      if (learned === from) return "toItself";
      if (!learned.membership.admits(vlan)) return "privateVlan";
      this.#addPort(frame, learned);
      return "noDestination";
    }
    if (learned !== undefined) {
      if (from === undefined) return "splitHorizon";
      frame.peers.push(learned);
      return "noDestination";
    }
    frame.flooded = true;
    for (const port of this.#vlans.portsOf(vlan).flooded) this.#addPort(frame, port);
    // Owners that attract nothing now get the frame too: it is counted there as lost.
    for (const port of absentOwners) if (port.membership.admits(vlan) && !port.mirrorTarget) this.#addPort(frame, port);
    frame.allPeers = from !== undefined;
    return "noDestination";
  }

  #addPort(frame: FrameInFlight, port: SwitchPort): void {
    if (port.lastFrame === this.#number) return;
    port.lastFrame = this.#number;
    frame.ports[frame.portCount] = port;
    frame.portCount += 1;
  }
}
