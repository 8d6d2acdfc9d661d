import type { MacAddress } from "./mac-address.ts";
import type { MacTable } from "./mac-table.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { VlanIndex } from "./vlan-index.ts";

/** Of a trunk, in how many VLANs it is said where its stations are: each costs a broadcast. */
const VLANS = 64;
/** How many stations behind a port are told of besides its own. */
const STATIONS = 256;

/** A station, and a VLAN in which others are to learn where it is. */
export interface Announcement {
  readonly vlan: number;
  readonly mac: MacAddress;
}

export interface AnnouncementSources {
  readonly table: MacTable;
  readonly vlans: VlanIndex;
  readonly now: number;
}

/**
 * What others must learn anew when a port's frames go another way: its own address in its VLAN, of a trunk in each, and the stations behind
 * it where they were last heard. Of a trunk with more than 64 VLANs those in which somebody else is or was heard; of more than 256
 * stations the first ones.
 */
export function announcementsOf(port: SwitchPort, { table, vlans, now }: AnnouncementSources): Announcement[] {
  const { membership, effectiveMac } = port;
  const announced = membership.isTrunk ? usedVlans(port, { table, vlans, now }) : [membership.untaggedVlan];
  const own = announced.flatMap((vlan) => (vlan === undefined ? [] : [{ vlan, mac: effectiveMac }]));
  if (!port.learns) return own;
  const behind = table.addressesAt(port, now).slice(0, STATIONS);
  return [
    ...own,
    // What is behind a private VLAN's port is kept under the primary, and travels in the port's own.
    ...behind.map(({ vlan, mac }) => ({ vlan: membership.isTrunk ? vlan : (membership.untaggedVlan ?? vlan), mac })),
  ];
}

function usedVlans(port: SwitchPort, { table, vlans }: AnnouncementSources): readonly number[] {
  const listed = port.membership.trunkVlans;
  if (listed.length <= VLANS) return listed;
  const heard = table.vlans();
  return listed.filter((vlan) => heard.has(vlan) || vlans.portsOf(vlan).all.length > 1).slice(0, VLANS);
}
