import { z } from "zod";
import { formatMac, macHigh, macLow, parseMac } from "./mac-address.ts";
import type { MacTable } from "./mac-table.ts";
import type { MirrorPoint } from "./mirror-session.ts";
import type { GroupMembership, MulticastSnooping } from "./multicast-snooping.ts";
import { macText } from "./port-settings-schema.ts";
import type { ShaperLevel } from "./port-shaper.ts";
import type { SwitchPort, SwitchPortStatistics } from "./switch-port.ts";
import type { TrafficStatistics } from "./traffic-counters.ts";

/**
 * What a port takes along when its VM moves to another host, besides its settings: its counters, the addresses and multicast groups behind
 * it, and how far its limits and samplings are. Plain data. Ages are relative, so that hosts need no common clock.
 */
export interface PortState {
  readonly version: 1;
  /** Frames that the gate held are counted as discarded: they stay behind. */
  readonly statistics: Omit<SwitchPortStatistics, "held">;
  /** The address that the guest uses besides the assigned one, where it may change it. */
  readonly effectiveMac: string;
  readonly learned: readonly { readonly vlan: number; readonly mac: string; readonly agoMs: number }[];
  readonly groups: readonly GroupMembership[];
  readonly shapingIn?: ShaperLevel | undefined;
  readonly shapingOut?: ShaperLevel | undefined;
  /** The levels of the rate limits among the filter rules. */
  readonly rateLimitsIn: readonly number[];
  readonly rateLimitsOut: readonly number[];
  /** By session: frames that passed since the last that was copied. */
  readonly mirrorSampling: Readonly<Record<string, number>>;
}

const count = z.int().nonnegative();
const traffic = z.object({
  frames: count,
  octets: count,
  broadcast: count,
  multicast: count,
  dropped: count,
  drops: z.record(z.string().max(64), count),
});
const level = z.object({ average: z.number(), peak: z.number(), packets: z.number() });
const vlan = z.int().min(0).max(4094);

/** Checks a state that comes from another host. */
export const portStateSchema: z.ZodType<PortState> = z.object({
  version: z.literal(1),
  statistics: z.object({
    in: traffic as unknown as z.ZodType<SwitchPortStatistics["in"]>,
    out: traffic as unknown as z.ZodType<SwitchPortStatistics["out"]>,
    forwarded: count,
    learningRefused: count,
  }),
  effectiveMac: macText,
  learned: z.array(z.object({ vlan, mac: macText, agoMs: count })).max(1_000_000),
  groups: z.array(z.object({ vlan, group: macText, expiresInMs: count })).max(100_000),
  shapingIn: level.optional(),
  shapingOut: level.optional(),
  rateLimitsIn: z.array(z.number()).max(1000),
  rateLimitsOut: z.array(z.number()).max(1000),
  mirrorSampling: z.record(z.string().max(256), count),
});

/** The parts of an engine that know something of a port. */
export interface PortStateSources {
  readonly now: number;
  readonly table: MacTable;
  readonly snooping: MulticastSnooping;
  readonly mirrors: Iterable<MirrorPoint>;
  /** Gives the port the address that it had. */
  readonly changeAddress: (port: SwitchPort, mac: number) => void;
}

export function exportPortState(port: SwitchPort, { now, table, snooping, mirrors }: PortStateSources): PortState {
  const { held, ...statistics } = port.statistics();
  const sampling: Record<string, number> = {};
  for (const point of mirrors) {
    if (point.session.sourcePorts.includes(port.key)) sampling[point.session.name] = point.sampled;
  }
  const shapingIn = port.policyIn?.parts.shaper?.level;
  const shapingOut = port.policyOut?.parts.shaper?.level;
  return {
    version: 1,
    statistics: { ...statistics, in: held === 0 ? statistics.in : withDiscarded(statistics.in, held) },
    effectiveMac: formatMac(port.effectiveMac),
    learned: table.addressesAt(port, now).map(({ vlan, mac, agoMs }) => ({ vlan, mac: formatMac(mac), agoMs })),
    groups: snooping.membershipsOf(port, now),
    ...(shapingIn === undefined ? {} : { shapingIn }),
    ...(shapingOut === undefined ? {} : { shapingOut }),
    rateLimitsIn: port.policyIn?.parts.filter?.levels ?? [],
    rateLimitsOut: port.policyOut?.parts.filter?.levels ?? [],
    mirrorSampling: sampling,
  };
}

/** Takes a state over. What the port's settings here don't allow or have is left out. */
export function importPortState(port: SwitchPort, state: PortState, sources: PortStateSources): void {
  const { now, table, snooping, mirrors } = sources;
  port.in.add(state.statistics.in);
  port.out.add(state.statistics.out);
  port.forwarded += state.statistics.forwarded;
  port.learningRefused += state.statistics.learningRefused;
  const effective = parseMac(state.effectiveMac);
  if (port.macChanges && effective !== undefined && effective !== port.effectiveMac) {
    sources.changeAddress(port, effective);
  }
  if (port.learns) {
    for (const { vlan, mac, agoMs } of state.learned) {
      const address = parseMac(mac);
      if (address === undefined || !port.membership.touches(vlan)) continue;
      table.learn(vlan, macHigh(address), macLow(address), port, port.learningLimit, now - agoMs);
    }
  }
  snooping.restore(port, state.groups, now);
  const { policyIn, policyOut } = port;
  if (state.shapingIn !== undefined && policyIn?.parts.shaper !== undefined) {
    policyIn.parts.shaper.level = state.shapingIn;
  }
  if (state.shapingOut !== undefined && policyOut?.parts.shaper !== undefined) {
    policyOut.parts.shaper.level = state.shapingOut;
  }
  if (policyIn?.parts.filter !== undefined) policyIn.parts.filter.levels = state.rateLimitsIn;
  if (policyOut?.parts.filter !== undefined) policyOut.parts.filter.levels = state.rateLimitsOut;
  for (const point of mirrors) {
    if (point.session.sourcePorts.includes(port.key)) {
      point.sampled = state.mirrorSampling[point.session.name] ?? point.sampled;
    }
  }
}

function withDiscarded(
  { drops, dropped, ...rest }: SwitchPortStatistics["in"],
  held: number,
): TrafficStatistics<keyof typeof drops & string> {
  return { ...rest, dropped: dropped + held, drops: { ...drops, holdDiscarded: (drops.holdDiscarded ?? 0) + held } };
}
