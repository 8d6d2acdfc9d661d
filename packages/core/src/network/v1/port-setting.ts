import { z } from "zod";
import { schemaOf } from "../../schema/schema-of.ts";

/** A range of VLAN ids, both ends included, 1 to 4094. */
export interface VlanRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Which VLANs a port carries.
 *
 * - `none`: untagged frames, in the switch's own untagged network.
 * - `access`: untagged frames, in one VLAN. Tagged frames are dropped: an access port is never a trunk.
 * - `trunk`: tagged frames of these VLANs, and untagged ones in `native`, if that VLAN is listed as well. An empty list passes nothing.
 * - `pvlan`: a private VLAN (RFC 5517), untagged; needs the facet `pvlan`. Promiscuous ports reach everybody of the primary VLAN, community ports
 *   their community and the promiscuous ones, isolated ports the promiscuous ones alone. A promiscuous port's `secondary` is its `primary`.
 */
export type VlanSetting =
  | { readonly kind: "none" }
  | { readonly kind: "access"; readonly id: number }
  | { readonly kind: "trunk"; readonly ranges: readonly VlanRange[]; readonly native?: number }
  | {
      readonly kind: "pvlan";
      readonly primary: number;
      readonly secondary: number;
      readonly role: "promiscuous" | "isolated" | "community";
    };

/** A token bucket for one direction of a port. Needs the facet `shaping`. */
export interface ShapingSetting {
  readonly averageBitsPerSecond: number;
  /** The rate within a burst; not less than the average. */
  readonly peakBitsPerSecond: number;
  readonly burstBytes: number;
  /** Packets per second; 0 for no limit. */
  readonly packetsPerSecond: number;
}

/** What a VM may do with addresses (vSphere's three security policies). All default to false. */
export interface SecuritySetting {
  /** Receives frames for others in its VLANs. */
  readonly promiscuous: boolean;
  /** May send frames whose source address is not the NIC's. */
  readonly forgedTransmits: boolean;
  /** May change its address and still receive. */
  readonly macChanges: boolean;
}

/** Stations behind a VM, as nested hosts have (vSphere's MAC management policy). Needs the facet `macLearning`. */
export interface MacLearningSetting {
  readonly enabled: boolean;
  /** How many addresses are learned behind the port. */
  readonly limit: number;
  /** What happens to a frame from an address that is over the limit: it is dropped, or passes without being learned. */
  readonly whenFull: "drop" | "flood";
  /** Whether the port gets unicast frames for addresses that nobody is known to have. */
  readonly floodUnknown: boolean;
}

/** The order in which a port uses the host's uplinks. Needs the facet `teaming`. */
export interface TeamingSetting {
  readonly policy: "failoverOrder" | "originatingPort" | "sourceMac" | "lacp";
  readonly active: readonly string[];
  /** Used, in this order, when no active uplink has a link. */
  readonly standby: readonly string[];
  /** Whether an uplink is used again as soon as its link is back. */
  readonly failback: boolean;
  /** Whether the physical switches are told by an announcement when a port takes another uplink. */
  readonly notifySwitches: boolean;
}

/** What a filter rule looks for. All that is given must hold; nothing given matches every frame. */
export interface FilterMatch {
  readonly sourceMac?: string;
  readonly destinationMac?: string;
  readonly etherType?: number;
  readonly vlan?: number;
  /** An IPv4 or IPv6 prefix in CIDR notation. */
  readonly sourcePrefix?: string;
  readonly destinationPrefix?: string;
  /** The IP protocol number. */
  readonly protocol?: number;
  /** TCP, UDP and SCTP ports, both ends included. A fragment without its ports does not match. */
  readonly sourcePorts?: { readonly from: number; readonly to: number };
  readonly destinationPorts?: { readonly from: number; readonly to: number };
}

/**
 * What a filter rule does. `accept` and `drop` decide; the others do their work, and the next rule is looked at.
 *
 * `accept` with `related` lets the answers pass as well; needs the attribute `statefulFilters`. `rateLimit` drops what is over its rate.
 */
export type FilterAction =
  | { readonly kind: "accept"; readonly related?: boolean }
  | { readonly kind: "drop" }
  | { readonly kind: "tag"; readonly priority?: number; readonly dscp?: number }
  | { readonly kind: "rateLimit"; readonly packetsPerSecond: number }
  | { readonly kind: "mirror"; readonly session: string }
  | { readonly kind: "log" };

/** A filter rule, in order; a frame that no rule decides is accepted. Needs the facet `accessControl`. */
export interface FilterRule {
  readonly name: string;
  /** `in` is what the VM sends. */
  readonly direction: "in" | "out" | "both";
  readonly match: FilterMatch;
  readonly action: FilterAction;
}

/** DHCPv4 that the switch itself answers. Needs the facet `dhcp`. */
export interface DhcpSetting {
  /** The subnet, in CIDR notation. */
  readonly subnet: string;
  readonly serverAddress: string;
  readonly serverMac: string;
  readonly router?: string;
  readonly dnsServers: readonly string[];
  readonly leaseSeconds: number;
}

/**
 * A port's effective settings. The SDK merges switch, port group and port, by the override policy, so that a provider gets what holds.
 * A setting whose facet is unavailable is refused by `validateSwitch`, and never ignored.
 */
export interface PortSetting {
  readonly vlan: VlanSetting;
  /** Passes nothing in either direction. */
  readonly blocked: boolean;
  readonly security: SecuritySetting;
  readonly macLearning?: MacLearningSetting;
  readonly teaming?: TeamingSetting;
  /** What the VM sends. */
  readonly shapingIn?: ShapingSetting;
  /** What the VM gets. */
  readonly shapingOut?: ShapingSetting;
  readonly filters?: readonly FilterRule[];
  readonly dhcp?: DhcpSetting;
}

/** Schema of a VLAN id. */
export const vlanId: z.ZodType<number> = z.int().min(1).max(4094);

/** Schema of a MAC address: lower-case, colons. */
export const macAddress: z.ZodType<string> = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);

/** Schema of {@link VlanSetting}. */
export const vlanSetting: z.ZodType<VlanSetting> = schemaOf<VlanSetting>()(
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("none") }),
    z.object({ kind: z.literal("access"), id: vlanId }),
    z.object({
      kind: z.literal("trunk"),
      ranges: z.array(z.object({ from: vlanId, to: vlanId })),
      native: vlanId.exactOptional(),
    }),
    z.object({
      kind: z.literal("pvlan"),
      primary: vlanId,
      secondary: vlanId,
      role: z.enum(["promiscuous", "isolated", "community"]),
    }),
  ]),
);

/** Schema of {@link SecuritySetting}. */
export const securitySetting: z.ZodType<SecuritySetting> = schemaOf<SecuritySetting>()(
  z.object({ promiscuous: z.boolean(), forgedTransmits: z.boolean(), macChanges: z.boolean() }),
);

/** Schema of {@link MacLearningSetting}. */
export const macLearningSetting: z.ZodType<MacLearningSetting> = schemaOf<MacLearningSetting>()(
  z.object({
    enabled: z.boolean(),
    limit: z.int().nonnegative(),
    whenFull: z.enum(["drop", "flood"]),
    floodUnknown: z.boolean(),
  }),
);

/** Schema of {@link TeamingSetting}. */
export const teamingSetting: z.ZodType<TeamingSetting> = schemaOf<TeamingSetting>()(
  z.object({
    policy: z.enum(["failoverOrder", "originatingPort", "sourceMac", "lacp"]),
    active: z.array(z.string()),
    standby: z.array(z.string()),
    failback: z.boolean(),
    notifySwitches: z.boolean(),
  }),
);

/** Schema of {@link ShapingSetting}. */
export const shapingSetting: z.ZodType<ShapingSetting> = schemaOf<ShapingSetting>()(
  z.object({
    averageBitsPerSecond: z.number().positive(),
    peakBitsPerSecond: z.number().positive(),
    burstBytes: z.number().positive(),
    packetsPerSecond: z.number().nonnegative(),
  }),
);

const portNumber = z.int().min(0).max(0xffff);
const portNumbers = z.object({ from: portNumber, to: portNumber });

/** Schema of {@link FilterRule}. */
export const filterRule: z.ZodType<FilterRule> = schemaOf<FilterRule>()(
  z.object({
    name: z.string(),
    direction: z.enum(["in", "out", "both"]),
    match: z.object({
      sourceMac: macAddress.exactOptional(),
      destinationMac: macAddress.exactOptional(),
      etherType: portNumber.exactOptional(),
      vlan: vlanId.exactOptional(),
      sourcePrefix: z.string().exactOptional(),
      destinationPrefix: z.string().exactOptional(),
      protocol: z.int().min(0).max(255).exactOptional(),
      sourcePorts: portNumbers.exactOptional(),
      destinationPorts: portNumbers.exactOptional(),
    }),
    action: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("accept"), related: z.boolean().exactOptional() }),
      z.object({ kind: z.literal("drop") }),
      z.object({
        kind: z.literal("tag"),
        priority: z.int().min(0).max(7).exactOptional(),
        dscp: z.int().min(0).max(63).exactOptional(),
      }),
      z.object({ kind: z.literal("rateLimit"), packetsPerSecond: z.number().positive() }),
      z.object({ kind: z.literal("mirror"), session: z.string() }),
      z.object({ kind: z.literal("log") }),
    ]),
  }),
);

/** Schema of {@link DhcpSetting}. */
export const dhcpSetting: z.ZodType<DhcpSetting> = schemaOf<DhcpSetting>()(
  z.object({
    subnet: z.string(),
    serverAddress: z.string(),
    serverMac: macAddress,
    router: z.string().exactOptional(),
    dnsServers: z.array(z.string()),
    leaseSeconds: z.int().positive(),
  }),
);

/** Schema of {@link PortSetting}. */
export const portSetting: z.ZodType<PortSetting> = schemaOf<PortSetting>()(
  z.object({
    vlan: vlanSetting,
    blocked: z.boolean(),
    security: securitySetting,
    macLearning: macLearningSetting.exactOptional(),
    teaming: teamingSetting.exactOptional(),
    shapingIn: shapingSetting.exactOptional(),
    shapingOut: shapingSetting.exactOptional(),
    filters: z.array(filterRule).exactOptional(),
    dhcp: dhcpSetting.exactOptional(),
  }),
);
