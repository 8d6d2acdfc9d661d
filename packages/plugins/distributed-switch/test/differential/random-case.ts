import fc from "fast-check";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";
import { type MulticastDraft, multicastDraft, multicastFrame } from "./multicast-frame.ts";
import type { CaseConfig, CaseFrame, CasePort } from "./switch-case.ts";

/** VLANs are few, so that ports meet; both ends of what is allowed are among them. */
const SHARED_VLANS = [1, 2, 4094] as const;
/** Primary VLANs, each with the next as its one isolated secondary. No trunk and no access port is in them. */
const PRIMARIES = [100, 200] as const;
const STATIONS: readonly string[] = Array.from({ length: 8 }, (_, index) => `52540000000${index}`);
/** Broadcast, multicast of both families, a vendor's, the first address that bridges forward and two that they don't. */
const GROUPS = [
  ...["ffffffffffff", "01005e000001", "333300000001", "01000cdcdcdc"],
  ...["0180c2000010", "0180c2000000", "0180c200000e"],
];
/** Experimental, IPv4, ARP, IPv6, an 802.3 length, nothing registered. Tags are put on elsewhere. */
const ETHER_TYPES = [0x88b5, 0x0800, 0x0806, 0x86dd, 0x002e, 0x0000, 0xffff];

export interface RandomCaseOptions {
  readonly ports: number;
  readonly privateVlans: boolean;
  readonly mirrors: boolean;
  /** Whether tags have priorities: they end at our tunnels, where frames travel without a tag. */
  readonly priorities: boolean;
  /** Group frames go to members only, and many frames are about groups. */
  readonly snooping: boolean;
  /** Whether so much time passes now and then that addresses age. */
  readonly pauses: boolean;
}

/** A configuration and the frames that are tried on it. */
export interface RandomCase {
  readonly config: CaseConfig;
  readonly frames: readonly CaseFrame[];
}

/** A frame before it is known which tags its port takes. */
interface FrameDraft {
  readonly port: number;
  readonly from: string;
  readonly to: string;
  /** None, one of the port's own by number, or any. */
  readonly tag: undefined | { readonly choice: number } | { readonly vlan: number };
  /** Of its tag. The bit of drop eligibility stays 0: Open vSwitch keeps or loses it by the order in which it comes to its ports. */
  readonly priority: number;
  readonly etherType: number;
  readonly payload: number;
  readonly fill: number;
  /** Instead of all that: a frame about a group. */
  readonly multicast: MulticastDraft | undefined;
  readonly pauseMs: number;
}

/** Cases in which most frames fit the port on which they are sent, and some don't. */
export function randomCase(options: RandomCaseOptions): fc.Arbitrary<RandomCase> {
  const drafts = fc.array(frameDraft(options), { minLength: 1, maxLength: 24, size: "max" });
  return fc.record({ config: randomConfig(options), drafts }).map(({ config, drafts: all }) => ({
    config,
    frames: withoutFramesToLeftGroups(all, config).map((draft, index) => finish(draft, index, config)),
  }));
}

/**
 * Where other groups have members, Open vSwitch may keep one that its last member has left, and gives its frames to nobody (see
 * `deliberate-differences.ts`): such frames become those of a group that goes everywhere.
 */
function withoutFramesToLeftGroups(drafts: readonly FrameDraft[], { ports }: CaseConfig): readonly FrameDraft[] {
  const joined = new Set<string>();
  const left = new Set<string>();
  return drafts.map((draft) => {
    const { port, tag, multicast } = draft;
    if (multicast === undefined) return draft;
    const { kind, family, group } = onItsSide(multicast, port);
    const address = `${family} ${group}`;
    const inVlan = `${address} ${JSON.stringify([ports[port], tag])}`;
    if (kind.startsWith("report")) joined.add(inVlan);
    if (kind.startsWith("leave") && [...joined].some((other) => other !== inVlan)) left.add(address);
    return kind === "data" && left.has(address) ? { ...draft, multicast: { ...multicast, kind: "local" } } : draft;
  });
}

function randomConfig({ ports, privateVlans, mirrors, snooping }: RandomCaseOptions): fc.Arbitrary<CaseConfig> {
  const port = fc.record({
    vlan: vlanSetting(privateVlans),
    blocked: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  });
  const number = fc.nat(ports - 1);
  const mirror = fc
    .record({
      destination: number,
      sources: fc.uniqueArray(number, { minLength: 1, maxLength: ports }),
      direction: fc.constantFrom("in" as const, "out" as const, "both" as const),
      snapLength: fc.option(fc.integer({ min: 14, max: 100 }), { nil: undefined, freq: 2 }),
    })
    // A session that mirrors its own destination is refused by one and nonsense to the other.
    .map((session) => ({ ...session, sources: session.sources.filter((source) => source !== session.destination) }))
    .filter(({ sources }) => sources.length > 0);
  return fc
    .record({
      ports: fc.array(port, { minLength: ports, maxLength: ports }),
      mirror: mirrors ? fc.option(mirror, { nil: undefined, freq: 5 }) : fc.constant(undefined),
      snooping: fc.constant(snooping),
    })
    .map(withoutTagsOnCopies);
}

/** Copies of frames of private VLANs leave a trunk with different tags: such a destination becomes no trunk. */
function withoutTagsOnCopies(config: CaseConfig): CaseConfig {
  const { ports, mirror } = config;
  const differs = ports.some(({ vlan }) => vlan.kind === "pvlan");
  if (mirror === undefined || !differs) return config;
  const untagged = ({ vlan, blocked }: CasePort): CasePort => ({
    vlan: vlan.kind === "trunk" ? { kind: "access", id: 1 } : vlan,
    blocked,
  });
  return { ...config, ports: ports.map((each, index) => (index === mirror.destination ? untagged(each) : each)) };
}

function vlanSetting(withPrivateVlans: boolean): fc.Arbitrary<VlanSetting> {
  const id = fc.constantFrom(...SHARED_VLANS);
  const range = fc.tuple(id, id).chain(([a, b]) => {
    const [from, to] = [Math.min(a, b), Math.max(a, b)];
    // Private VLANs stay out: in a trunk they mean something else to each switch.
    return from < 100 && to > 200 ? fc.constantFrom({ from, to: 99 }, { from: 202, to }) : fc.constant({ from, to });
  });
  const trunk = fc.record({
    kind: fc.constant("trunk" as const),
    ranges: fc.oneof(
      { weight: 1, arbitrary: fc.constant([]) },
      { weight: 9, arbitrary: fc.array(range, { minLength: 1, maxLength: 3 }) },
    ),
    native: fc.option(id, { nil: undefined }),
  });
  const pvlan = fc
    .record({
      primary: fc.constantFrom(...PRIMARIES),
      role: fc.constantFrom("promiscuous" as const, "isolated" as const, "isolated" as const),
    })
    .map(({ primary, role }) => ({ kind: "pvlan" as const, primary, secondary: primary + 1, role }));
  return fc.oneof(
    { weight: 1, arbitrary: fc.constant({ kind: "none" as const }) },
    { weight: 3, arbitrary: id.map((each) => ({ kind: "access" as const, id: each })) },
    { weight: 3, arbitrary: trunk },
    { weight: withPrivateVlans ? 14 : 0, arbitrary: pvlan },
  );
}

function frameDraft({ ports, priorities, snooping, pauses }: RandomCaseOptions): fc.Arbitrary<FrameDraft> {
  return fc.record({
    port: fc.nat(ports - 1),
    from: fc.constantFrom(...STATIONS),
    to: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...STATIONS) },
      { weight: 2, arbitrary: fc.constant("ffffffffffff") },
      { weight: 1, arbitrary: fc.constantFrom(...GROUPS) },
    ),
    tag: fc.oneof(
      { weight: 7, arbitrary: fc.record({ choice: fc.nat(7) }) },
      { weight: 1, arbitrary: fc.constant(undefined) },
      { weight: 2, arbitrary: fc.record({ vlan: fc.constantFrom(0, ...SHARED_VLANS, 3, 100, 101) }) },
    ),
    priority: priorities ? fc.oneof(fc.constant(0), fc.nat(7)) : fc.constant(0),
    etherType: fc.constantFrom(...ETHER_TYPES),
    // From nothing behind the header to the largest.
    payload: fc.oneof(fc.constant(46), fc.nat(60), fc.constantFrom(0, 4, 1496, 1500)),
    fill: fc.nat(255),
    multicast: snooping ? fc.option(multicastDraft, { nil: undefined, freq: 4 }) : fc.constant(undefined),
    // Sums of these are never near the 300 s after which both forget an address.
    pauseMs: pauses
      ? fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.constantFrom(70_000, 350_000))
      : fc.constant(0),
  });
}

/**
 * The bytes of a draft. Each frame carries its number where it has room, so that it is known again. Where the two mirror differently on
 * purpose (see `deliberate-differences.ts`), the frame is one that doesn't show it.
 */
function finish(draft: FrameDraft, index: number, config: CaseConfig): CaseFrame {
  const { port, from, tag, etherType, payload, fill } = draft;
  const mirrorsIn = config.mirror !== undefined && config.mirror.direction !== "out";
  const mirrorsOut = config.mirror !== undefined && config.mirror.direction !== "in";
  const to = mirrorsIn && draft.to.startsWith("0180c200000") ? "ffffffffffff" : draft.to;
  const inNoVlan = config.ports[port]?.vlan.kind === "none";
  const priority = mirrorsOut || (mirrorsIn && inNoVlan) ? 0 : draft.priority;
  const vlan = tag === undefined ? undefined : "vlan" in tag ? tag.vlan : fittingTag(config, port, tag.choice);
  const content = Buffer.alloc(payload, fill);
  if (payload >= 4) content.writeUInt32BE(index, 0);
  const type = Buffer.alloc(2);
  type.writeUInt16BE(etherType);
  const multicast = draft.multicast === undefined ? undefined : onItsSide(draft.multicast, port);
  const untagged =
    multicast === undefined
      ? Buffer.concat([Buffer.from(to + from, "hex"), type, content])
      : multicastFrame(multicast, Number.parseInt(from, 16));
  const tagBytes = Buffer.alloc(vlan === undefined ? 0 : 4);
  if (vlan !== undefined) tagBytes.writeUInt32BE((0x8100_0000 + priority * 0x2000 + vlan) >>> 0);
  const bytes = Buffer.concat([untagged.subarray(0, 12), tagBytes, untagged.subarray(12)]);
  // Ours waits after a leave whether others behind the port stay (RFC 2236, section 3); Open vSwitch doesn't.
  const pauseMs = multicast?.kind.startsWith("leave") === true ? 3_000 : draft.pauseMs;
  const pause = pauseMs === 0 ? "" : `, then ${pauseMs} ms`;
  return { port, bytes, pauseMs, [fc.toStringMethod]: () => `p${port} <- ${bytes.toString("hex")}${pause}` };
}

/** The one router is behind port 0, and no member: Open vSwitch doesn't believe that behind a router's port there are members. */
function onItsSide(draft: MulticastDraft, port: number): MulticastDraft {
  if (draft.kind === "data" || draft.kind === "local") return draft;
  if (port === 0) return { ...draft, kind: "query" };
  return draft.kind === "query" ? { ...draft, kind: "report" } : draft;
}

/** A tag that the port takes: of a trunk one of its VLANs, of any other port none. */
function fittingTag(config: CaseConfig, port: number, choice: number): number | undefined {
  const vlan = config.ports[port]?.vlan;
  if (vlan?.kind !== "trunk") return undefined;
  const listed = SHARED_VLANS.filter((id) => vlan.ranges.some(({ from, to }) => from <= id && id <= to));
  return listed[choice % listed.length];
}
