import { z } from "zod";
import { MAX_MTU } from "./ethernet-frame.ts";
import type { FilterRule } from "./filter-rule.ts";
import { parsePrefix } from "./ip-prefix.ts";
import { parseMac } from "./mac-address.ts";
import type { ShapingSetting } from "./port-shaper.ts";
import type { PortSettings } from "./switch-port.ts";
import type { TeamingSetting } from "./uplink-team.ts";
import type { VlanSetting } from "./vlan-membership.ts";

/** A VLAN id. */
export const vlanId: z.ZodType<number> = z.int().min(1).max(4094);

/** A MAC address as text. */
export const macText: z.ZodType<string> = z
  .string()
  .refine((text) => parseMac(text) !== undefined, "must be a MAC address");

/** How many filter rules a port may have: each costs every frame of the port. */
const LARGEST_RULE_COUNT = 1000;

const vlanSetting: z.ZodType<VlanSetting> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("none") }),
  z.object({ kind: z.literal("access"), id: vlanId }),
  z.object({
    kind: z.literal("trunk"),
    ranges: z.array(
      z.object({ from: vlanId, to: vlanId }).refine(({ from, to }) => from <= to, "a range must not run backwards"),
    ),
    native: vlanId.optional(),
  }),
  z
    .object({
      kind: z.literal("pvlan"),
      primary: vlanId,
      secondary: vlanId,
      role: z.enum(["promiscuous", "isolated", "community"]),
    })
    .refine(
      ({ primary, secondary, role }) => role === "promiscuous" || primary !== secondary,
      "an isolated or community port needs a secondary VLAN that isn't the primary",
    ),
]);

const shapingSetting: z.ZodType<ShapingSetting> = z
  .object({
    averageBitsPerSecond: z.number().positive(),
    peakBitsPerSecond: z.number().positive(),
    burstBytes: z.number().positive(),
    packetsPerSecond: z.number().nonnegative(),
  })
  .refine(
    ({ averageBitsPerSecond, peakBitsPerSecond }) => peakBitsPerSecond >= averageBitsPerSecond,
    "the peak must not be less than the average",
  );

const prefixText = z.string().refine((text) => parsePrefix(text) !== undefined, "must be an IPv4 or IPv6 prefix");
const portNumber = z.int().min(0).max(65535);
const portRange = z
  .object({ from: portNumber, to: portNumber })
  .refine(({ from, to }) => from <= to, "a range must not run backwards");

const filterRule: z.ZodType<FilterRule> = z.object({
  name: z.string().max(256),
  direction: z.enum(["in", "out", "both"]),
  match: z.object({
    sourceMac: macText.optional(),
    destinationMac: macText.optional(),
    etherType: z.int().min(0).max(0xffff).optional(),
    vlan: vlanId.optional(),
    sourcePrefix: prefixText.optional(),
    destinationPrefix: prefixText.optional(),
    protocol: z.int().min(0).max(255).optional(),
    sourcePorts: portRange.optional(),
    destinationPorts: portRange.optional(),
  }),
  action: z.discriminatedUnion("kind", [
    // Rules are stateless: one that is to let answers pass would do less than it says.
    z.object({ kind: z.literal("accept"), related: z.literal(false).optional() }),
    z.object({ kind: z.literal("drop") }),
    z.object({
      kind: z.literal("tag"),
      priority: z.int().min(0).max(7).optional(),
      dscp: z.int().min(0).max(63).optional(),
    }),
    z.object({ kind: z.literal("rateLimit"), packetsPerSecond: z.number().positive() }),
    z.object({ kind: z.literal("mirror"), session: z.string().min(1) }),
    z.object({ kind: z.literal("log") }),
  ]),
});

const teamingSetting: z.ZodType<TeamingSetting> = z
  .object({
    // Link aggregation needs its protocol, which isn't there: a port that was to have it would have less.
    policy: z.enum(["failoverOrder", "originatingPort", "sourceMac"]),
    active: z.array(z.string()),
    standby: z.array(z.string()),
    failback: z.boolean(),
    notifySwitches: z.boolean(),
  })
  .refine(
    ({ active, standby }) => new Set([...active, ...standby]).size === active.length + standby.length,
    "an uplink must not be there more than once",
  );

/** Checks `PortSettings`. */
export const portSettingsSchema: z.ZodType<PortSettings> = z.object({
  macAddress: z.string().refine((text) => {
    const mac = parseMac(text);
    return mac !== undefined && mac !== 0 && Math.floor(mac / 2 ** 40) % 2 === 0;
  }, "must be a unicast MAC address such as 52:54:00:12:34:56"),
  vlan: vlanSetting,
  blocked: z.boolean().optional(),
  security: z
    .object({ promiscuous: z.boolean(), forgedTransmits: z.boolean(), macChanges: z.boolean() })
    .partial()
    .optional(),
  macLearning: z
    .object({
      enabled: z.boolean(),
      limit: z.int().min(0).optional(),
      whenFull: z.enum(["drop", "flood"]).optional(),
      floodUnknown: z.boolean().optional(),
    })
    .optional(),
  filters: z.array(filterRule).max(LARGEST_RULE_COUNT).optional(),
  shapingIn: shapingSetting.optional(),
  shapingOut: shapingSetting.optional(),
  teaming: teamingSetting.optional(),
  mtu: z.int().min(68).max(MAX_MTU).optional(),
});
