/** What the switches of this project count drops under, as a person says it. A third party's reasons are its own. */
const texts: Readonly<Record<string, string>> = {
  arpSpoof: "the VM says in ARP or neighbour discovery that it is somebody else",
  blocked: "the port is blocked",
  fenced: "it is of an owner that was cut off",
  filtered: "a filter rule drops it",
  forgedTransmit: "its source is not the NIC's address",
  gateDrop: "the port's gate is closed",
  held: "the port's gate keeps it back",
  holdDiscarded: "the gate held it, and what was held was discarded",
  holdFull: "the gate holds as many frames as it may",
  invalidSource: "its source is no address of a station",
  learningLimit: "more stations are behind the port than it may have",
  linkDown: "nobody is at the port",
  linkLocal: "it is for neighbours on the wire alone, which no switch passes on",
  looped: "the port makes a loop",
  malformed: "it is no Ethernet frame",
  mirrorDestination: "the port takes copies of a mirror session, and sends nothing",
  noDestination: "nobody is there for it",
  noUplink: "no uplink has a link",
  privateVlan: "the private VLAN keeps the two apart",
  queueFull: "who is at the port does not read fast enough",
  rateLimited: "it is over the rate of a filter rule",
  reverseFilter: "it came by another uplink than the one that the port uses",
  runt: "it is too short",
  shaped: "it is over the port's rate",
  splitHorizon: "it came from another host, and is for another host",
  taggedOnAccess: "an access port takes no tagged frames",
  toItself: "it is for whom it came from",
  tooLong: "it is longer than the MTU",
  tunnelMtu: "its tunnel packet would be longer than the underlay carries",
  unknownPeer: "the host does not know the sender's host",
  unsupportedTag: "its tag is doubled, or none of 802.1Q",
  untaggedOnTrunk: "the trunk has no native VLAN for untagged frames",
  vlanMismatch: "the port takes no frames with this tag, or without one",
  vlanNotAllowed: "the port does not carry this VLAN",
};

/** Why a frame was dropped, for people; `undefined` for a reason that is not known here. */
export function dropReasonText(reason: string): string | undefined {
  return Object.hasOwn(texts, reason) ? texts[reason] : undefined;
}
