import type { PortSettings } from "../../src/dataplane/switch-port.ts";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";
import { type MulticastDraft, multicastFrame } from "./multicast-frame.ts";
import type { CaseConfig, CaseFrame, CaseMirror } from "./switch-case.ts";

/** One way in which the embedded switch and Open vSwitch differ and should, shown on an example. */
export interface DeliberateDifference {
  readonly what: string;
  readonly why: string;
  readonly config: CaseConfig;
  /** What is set at every port of ours instead of a bridge's settings. */
  readonly settings?: Partial<PortSettings>;
  /** Further words for `ovs-vsctl`. */
  readonly vsctl?: readonly string[];
  readonly frames: readonly CaseFrame[];
  /** What leaves: `p1 <frame>` with the frame in hexadecimal. */
  readonly ours: readonly string[];
  readonly openVswitch: readonly string[];
}

const BROADCAST = "ffffffffffff";
const A = "525400000001";
const B = "525400000002";
const access = (id: number): VlanSetting => ({ kind: "access", id });
const trunk = (...ids: readonly number[]): VlanSetting => ({
  kind: "trunk",
  ranges: ids.map((id) => ({ from: id, to: id })),
});
const isolated: VlanSetting = { kind: "pvlan", primary: 100, secondary: 101, role: "isolated" };
const promiscuous: VlanSetting = { kind: "pvlan", primary: 100, secondary: 101, role: "promiscuous" };
/** The frame of every example: experimental EtherType, four octets. */
const hex = (to: string, from: string, tags = "", payload = "00112233"): string => `${to}${from}${tags}88b5${payload}`;

const multicast = (draft: MulticastDraft): string => multicastFrame(draft, Number.parseInt(A, 16)).toString("hex");

function six(vlans: readonly VlanSetting[], mirror?: CaseMirror): CaseConfig {
  const unused = trunk();
  return {
    mirror,
    snooping: false,
    ports: Array.from({ length: 6 }, (_, index) => ({ vlan: vlans[index] ?? unused, blocked: false })),
  };
}

function send(port: number, frame: string, pauseMs = 0): CaseFrame {
  return { port, bytes: Buffer.from(frame, "hex"), pauseMs };
}

/** The table of what differs. Everything else is compared frame by frame. */
export const DELIBERATE_DIFFERENCES: readonly DeliberateDifference[] = [
  {
    what: "an empty trunk list",
    why: "ours passes nothing; Open vSwitch passes every VLAN, so that taking the last VLAN off a port opens it to all",
    config: six([trunk(), trunk(7)]),
    vsctl: ["clear", "Port", "p0", "trunks"],
    frames: [send(0, hex(BROADCAST, A, "81000007"))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, A, "81000007")}`],
  },
  {
    what: "two tags on a trunk",
    why: "ours drops them: the inner tag would surface where the outer is taken off, and the guest would choose its VLAN; Open vSwitch carries them",
    config: six([trunk(7), access(7)]),
    frames: [send(0, hex(BROADCAST, A, "8100000781000009"))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, A, "81000009")}`],
  },
  {
    what: "two tags on an access port, the outer one of VLAN 0",
    why: "the same: Open vSwitch takes the outer tag for a priority and lets the inner one through",
    config: six([access(7), access(7)]),
    frames: [send(0, hex(BROADCAST, A, "8100000081000009"))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, A, "81000009")}`],
  },
  {
    what: "a service tag (802.1ad) on a trunk",
    why: "ours knows 802.1Q tags alone and drops it; Open vSwitch takes it for one",
    config: six([trunk(7), access(7)]),
    frames: [send(0, hex(BROADCAST, A, "88a80007"))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, A)}`],
  },
  {
    what: "a source address that is a group's, or zero",
    why: "no station has one (802.3, 3.2.5): ours drops the frame, Open vSwitch forwards it",
    config: six([access(7), access(7)]),
    frames: [send(0, hex(BROADCAST, "015254000001")), send(0, hex(BROADCAST, "000000000000"))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, "015254000001")}`, `p1 ${hex(BROADCAST, "000000000000")}`],
  },
  {
    what: "the addresses of CDP, VTP, PVST and EDP",
    why: "ours holds back what 802.1Q reserves and nothing else; Open vSwitch holds back some vendors' protocols too",
    config: six([access(7), access(7)]),
    frames: [send(0, hex("01000ccccccc", A)), send(0, hex("00e02b000000", A))],
    ours: [`p1 ${hex("01000ccccccc", A)}`, `p1 ${hex("00e02b000000", A)}`],
    openVswitch: [],
  },
  {
    what: "a frame longer than the MTU",
    why: "ours drops and counts it where it comes in, and learns nothing of it; Open vSwitch learns its source, and each device drops it",
    config: six([access(7), access(7), access(7)]),
    frames: [send(0, hex(BROADCAST, A, "", "00".repeat(1501))), send(1, hex(A, B))],
    ours: [`p0 ${hex(A, B)}`, `p2 ${hex(A, B)}`],
    openVswitch: [`p0 ${hex(A, B)}`],
  },
  {
    what: "unicast to nobody known",
    why: "a VM's port has one address, so ours keeps foreign unicast from it unless it learns; a bridge floods",
    config: six([access(7), access(7)]),
    settings: { macLearning: { enabled: false } },
    frames: [send(0, hex(B, A))],
    ours: [],
    openVswitch: [`p1 ${hex(B, A)}`],
  },
  {
    what: "a foreign source address",
    why: "the security policy forbids it by default; Open vSwitch has no such policy outside of flows",
    config: six([access(7), access(7)]),
    settings: { security: {} },
    frames: [send(0, hex(BROADCAST, A))],
    ours: [],
    openVswitch: [`p1 ${hex(BROADCAST, A)}`],
  },
  {
    what: "isolated ports and an access port of their primary VLAN",
    why: "a private VLAN's isolated ports reach promiscuous ports alone (RFC 5517); `protected` ports reach all that are not protected",
    config: six([isolated, access(100), promiscuous]),
    frames: [send(0, hex(BROADCAST, A))],
    ours: [`p2 ${hex(BROADCAST, A)}`],
    openVswitch: [`p1 ${hex(BROADCAST, A)}`, `p2 ${hex(BROADCAST, A)}`],
  },
  {
    what: "the tag of an isolated port's frames on a trunk",
    why: "a private VLAN travels in its secondary VLAN, so that the next switch can tell; `protected` has one VLAN and stops at the switch",
    config: six([isolated, trunk(100, 101)]),
    frames: [send(0, hex(BROADCAST, A))],
    ours: [`p1 ${hex(BROADCAST, A, "81000065")}`],
    openVswitch: [`p1 ${hex(BROADCAST, A, "81000064")}`],
  },
  {
    what: "mirroring of what a bridge never forwards",
    why: "ours mirrors what a port may send; Open vSwitch mirrors also what it then holds back as link-local",
    config: six([access(7), access(7), access(8)], {
      sources: [0],
      direction: "in",
      destination: 2,
      snapLength: undefined,
    }),
    frames: [send(0, hex("0180c2000000", A))],
    ours: [],
    openVswitch: [`p2 ${hex("0180c2000000", A)}`],
  },
  {
    what: "the priority of a mirrored frame that left without its tag",
    why: "ours tags the copy as the frame was; Open vSwitch has forgotten the priority by then",
    config: six([trunk(7), access(7), trunk(7)], {
      sources: [1],
      direction: "out",
      destination: 2,
      snapLength: undefined,
    }),
    frames: [send(0, hex(BROADCAST, A, "8100a007"))],
    ours: [`p1 ${hex(BROADCAST, A)}`, `p2 ${hex(BROADCAST, A, "8100a007")}`],
    openVswitch: [`p1 ${hex(BROADCAST, A)}`, `p2 ${hex(BROADCAST, A, "81000007")}`],
  },
  {
    what: "the priority of a mirrored frame in no VLAN",
    why: "the tag of VLAN 0 that says it belongs to one link, and the copy takes another; Open vSwitch puts it on the copy",
    config: six([{ kind: "none" }, access(7), trunk(7)], {
      sources: [0],
      direction: "in",
      destination: 2,
      snapLength: undefined,
    }),
    frames: [send(0, hex(BROADCAST, A, "8100a000"))],
    ours: [`p2 ${hex(BROADCAST, A)}`],
    openVswitch: [`p2 ${hex(BROADCAST, A, "8100a000")}`],
  },
  {
    what: "members behind a router's port",
    why: "ours believes a report wherever it comes from; Open vSwitch takes none from a router's port, and floods the group as if it had no members",
    config: { ...six([access(7), access(7)]), snooping: true },
    frames: [
      send(0, multicast({ kind: "query", family: 4, group: 0 })),
      send(0, multicast({ kind: "report", family: 4, group: 0 })),
      send(0, multicast({ kind: "data", family: 4, group: 0 })),
    ],
    ours: [`p1 ${multicast({ kind: "query", family: 4, group: 0 })}`],
    openVswitch: [
      `p1 ${multicast({ kind: "query", family: 4, group: 0 })}`,
      `p1 ${multicast({ kind: "data", family: 4, group: 0 })}`,
    ],
  },
  {
    what: "a group that its last member left, while one that was joined before has members",
    why: "ours floods it like any group without members (RFC 4541, section 2.1.2); Open vSwitch keeps it until the older one ends, and gives its frames to nobody",
    config: { ...six([access(7), access(7), access(7)]), snooping: true },
    frames: [
      send(1, multicast({ kind: "report", family: 4, group: 0 })),
      send(1, multicast({ kind: "report", family: 4, group: 2 })),
      send(1, multicast({ kind: "leave", family: 4, group: 2 }), 3_000),
      send(0, multicast({ kind: "data", family: 4, group: 2 })),
    ],
    ours: [
      `p1 ${multicast({ kind: "data", family: 4, group: 2 })}`,
      `p2 ${multicast({ kind: "data", family: 4, group: 2 })}`,
    ],
    openVswitch: [],
  },
];
