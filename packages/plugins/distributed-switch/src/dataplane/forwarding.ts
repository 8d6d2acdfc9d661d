import type { FrameInFlight } from "./frame-in-flight.ts";
import type { MacTable } from "./mac-table.ts";
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
}

/** The decision to which places a frame goes. It reads tables and writes its answer into the frame; it changes nothing else. */
export class Forwarding {
  readonly #table: MacTable;
  readonly #owners: OwnerIndex;
  readonly #vlans: VlanIndex;
  readonly #privateVlans: PrivateVlans;
  #number = 0;

  constructor({ table, owners, vlans, privateVlans }: ForwardingOptions) {
    this.#table = table;
    this.#owners = owners;
    this.#vlans = vlans;
    this.#privateVlans = privateVlans;
  }

  /**
   * Fills in the frame's `ports`, `peer`, `allPeers` and `toUplinks`. Returns the reason that holds if none of them takes the frame.
   * A frame that isn't from a port of this host goes to ports of this host only (split horizon).
   */
  decide(frame: FrameInFlight, now: number): InDropReason {
    this.#number += 1;
    const { from, vlan } = frame;
    // The frame's own number at its source keeps it from ever being sent back there.
    if (from !== undefined) from.lastFrame = this.#number;
    return frame.group ? this.#toGroup(frame) : this.#toStation(frame, vlan, now);
  }

  #toGroup(frame: FrameInFlight): InDropReason {
    for (const port of this.#vlans.portsOf(frame.vlan).all) this.#addPort(frame, port);
    frame.allPeers = frame.from !== undefined;
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
    const { from, vlan } = frame;
    const learned =
      frame.sourceLearned && frame.toSource ? from : this.#table.lookup(primary, frame.toHigh, frame.toLow, now);
    if (learned instanceof SwitchPort) {
      if (learned === from) return "toItself";
      if (!learned.membership.admits(vlan)) return "privateVlan";
      this.#addPort(frame, learned);
      return "noDestination";
    }
    if (learned !== undefined) {
      if (from === undefined) return "splitHorizon";
      frame.peer = learned;
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
