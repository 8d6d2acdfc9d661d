import type { FrameInFlight } from "./frame-in-flight.ts";
import { formatMac, type MacAddress, macOf, parseMac } from "./mac-address.ts";
import { readMembershipMessage } from "./membership-message.ts";
import { PacketFields } from "./packet-fields.ts";
import type { Place } from "./place.ts";

/** A group that somebody behind a port asked for. */
export interface GroupMembership {
  /** The VLAN; of a private VLAN its primary. */
  readonly vlan: number;
  /** The MAC address to which the group is sent. */
  readonly group: string;
  readonly expiresInMs: number;
}

/** Where a group frame goes. */
export type GroupDecision = "flood" | "members" | "routers";

/** How long a membership lasts after its last report (RFC 3376, section 8.4). */
const MEMBERSHIP_MS = 260_000;
/** How long a port is a router's after its last query (RFC 3376, section 8.5). */
const ROUTER_MS = 255_000;
/** How long after a leave others behind the port may report that they stay (RFC 3376, section 8.8). */
const LEAVE_MS = 2_000;
/** How many groups one place may ask for. One that asks for more gets every group. */
const GROUPS_PER_PLACE = 1024;

type Expiries = Map<Place, number>;

interface VlanGroups {
  readonly groups: Map<MacAddress, Expiries>;
  readonly routers: Expiries;
  /** Places that asked for too many groups to remember. */
  readonly greedy: Expiries;
}

const fields = new PacketFields();

/**
 * IGMP and MLD snooping (RFC 4541): group frames go to those that asked for the group, and to routers.
 *
 * - Groups are told apart by MAC address: groups that share one are delivered together.
 * - Frames for groups that nobody asked for are flooded, and so are those for the link-local groups 224.0.0.0/24 and ff02::/120.
 * - Reports go to routers' ports, and to all other hosts, each of which must know who is a member where; queries go everywhere.
 * - A router's port is one on which a query came in.
 */
export class MulticastSnooping {
  enabled = false;
  /** Where the last decided frame goes besides to ports that get everything. */
  readonly targets: Set<Place> = new Set();
  readonly #vlans = new Map<number, VlanGroups>();
  readonly #counts = new Map<Place, number>();

  /** Decides on a frame for a group of IP, and takes note of what it says. `vlan` is the primary. */
  decide(frame: FrameInFlight, vlan: number, now: number): GroupDecision {
    this.targets.clear();
    const { origin, toHigh, toLow } = frame;
    const ipv4 = toHigh === 0x0100 && toLow >>> 24 === 0x5e;
    if (origin === undefined || (!ipv4 && toHigh !== 0x3333)) return "flood";
    fields.read(frame);
    const message = readMembershipMessage(frame, fields);
    if (message?.kind === "query") {
      if (message.fromRouter && frame.trace === undefined) {
        this.#vlan(vlan).routers.set(origin, now + ROUTER_MS);
      }
      return "flood";
    }
    const known = this.#vlans.get(vlan);
    if (message !== undefined) {
      if (frame.trace === undefined) {
        for (const group of message.joins) this.#join(vlan, group, origin, now + MEMBERSHIP_MS);
        for (const group of message.leaves) this.#leave(vlan, group, origin, now + LEAVE_MS);
      }
      if (known !== undefined) this.#addTargets(known.routers, now);
      return "routers";
    }
    // 224.0.0.0/24 and ff02::/120, whatever else is sent to these addresses.
    if (ipv4 ? (toLow & 0x7f_ff00) === 0 : (toLow & ~0xff) === 0) return "flood";
    const members = known?.groups.get(macOf(toHigh, toLow));
    if (known === undefined || members === undefined) return "flood";
    if (this.#addTargets(members, now) === 0) {
      known.groups.delete(macOf(toHigh, toLow));
      return "flood";
    }
    this.#addTargets(known.routers, now);
    this.#addTargets(known.greedy, now);
    return "members";
  }

  /** Forgets a port or a host that is gone. */
  forget(place: Place): void {
    if (this.#vlans.size === 0) return;
    for (const { groups, routers, greedy } of this.#vlans.values()) {
      for (const members of groups.values()) members.delete(place);
      routers.delete(place);
      greedy.delete(place);
    }
    this.#counts.delete(place);
  }

  /** Removes what has expired. To be called now and then. */
  expire(now: number): void {
    this.#counts.clear();
    for (const [vlan, { groups, routers, greedy }] of this.#vlans) {
      for (const [group, members] of groups) {
        removeExpired(members, now);
        if (members.size === 0) groups.delete(group);
        for (const place of members.keys()) this.#counts.set(place, (this.#counts.get(place) ?? 0) + 1);
      }
      removeExpired(routers, now);
      removeExpired(greedy, now);
      if (groups.size + routers.size + greedy.size === 0) this.#vlans.delete(vlan);
    }
  }

  clear(): void {
    this.#vlans.clear();
    this.#counts.clear();
  }

  membershipsOf(place: Place, now: number): GroupMembership[] {
    const found: GroupMembership[] = [];
    for (const [vlan, { groups }] of this.#vlans) {
      for (const [group, members] of groups) {
        const expires = members.get(place);
        if (expires === undefined || expires <= now) continue;
        found.push({ vlan, group: formatMac(group), expiresInMs: Math.round(expires - now) });
      }
    }
    return found;
  }

  /** Takes memberships over that a place had on another host. */
  restore(place: Place, memberships: readonly GroupMembership[], now: number): void {
    if (!this.enabled) return;
    for (const { vlan, group, expiresInMs } of memberships) {
      const mac = parseMac(group);
      if (mac !== undefined) this.#join(vlan, mac, place, now + Math.min(expiresInMs, MEMBERSHIP_MS));
    }
  }

  #join(vlan: number, group: MacAddress, place: Place, expires: number): void {
    const { groups, greedy } = this.#vlan(vlan);
    const members = groups.get(group);
    if (members?.has(place) === true) {
      members.set(place, expires);
      return;
    }
    const count = this.#counts.get(place) ?? 0;
    if (count >= GROUPS_PER_PLACE) {
      greedy.set(place, expires);
      return;
    }
    this.#counts.set(place, count + 1);
    if (members === undefined) groups.set(group, new Map([[place, expires]]));
    else members.set(place, expires);
  }

  #leave(vlan: number, group: MacAddress, place: Place, expires: number): void {
    const members = this.#vlans.get(vlan)?.groups.get(group);
    const before = members?.get(place);
    if (before !== undefined && before > expires) members?.set(place, expires);
  }

  #addTargets(places: Expiries, now: number): number {
    let added = 0;
    for (const [place, expires] of places) {
      if (expires <= now) continue;
      this.targets.add(place);
      added += 1;
    }
    return added;
  }

  #vlan(vlan: number): VlanGroups {
    let known = this.#vlans.get(vlan);
    if (known === undefined) {
      known = { groups: new Map(), routers: new Map(), greedy: new Map() };
      this.#vlans.set(vlan, known);
    }
    return known;
  }
}

function removeExpired(places: Expiries, now: number): void {
  for (const [place, expires] of places) if (expires <= now) places.delete(place);
}
