import { z } from "zod";
import { identifier, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import { type JsonObject, jsonObject } from "../../schema/json.ts";
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
 * - `trunk`: tagged frames of these VLANs, and untagged ones in `native`, if given. An empty list passes nothing tagged.
 * - `pvlan`: a private VLAN (RFC 5517); needs the facet `pvlan`.
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

/** A token bucket. */
export interface ShapingSetting {
  readonly averageBitsPerSecond: number;
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

/** The order in which a port uses the host's uplinks. */
export interface TeamingSetting {
  readonly policy: "failoverOrder" | "originatingPort" | "sourceMac" | "lacp";
  readonly active: readonly string[];
  readonly standby: readonly string[];
  readonly failback: boolean;
}

/** A stateless filter rule; the first that matches decides. */
export interface FilterRule {
  readonly name: string;
  readonly direction: "in" | "out" | "both";
  readonly match: {
    readonly sourceMac?: string;
    readonly destinationMac?: string;
    readonly etherType?: number;
    readonly sourcePrefix?: string;
    readonly destinationPrefix?: string;
    readonly protocol?: number;
    readonly sourcePort?: number;
    readonly destinationPort?: number;
  };
  readonly action: "accept" | "drop";
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
  readonly teaming?: TeamingSetting;
  readonly shapingIn?: ShapingSetting;
  readonly shapingOut?: ShapingSetting;
  readonly filters?: readonly FilterRule[];
}

/** A template for ports. */
export interface PortGroupSpec {
  readonly key: string;
  readonly name: string;
  /** `static` ports last until they are removed; `ephemeral` ones as long as they are connected. */
  readonly binding: "static" | "ephemeral";
  readonly setting: PortSetting;
  readonly opaque?: JsonObject;
}

/** A host that is a member of the switch. */
export interface HostMemberSpec {
  readonly host: string;
  /** Uplinks of the host, in the switch's names. */
  readonly uplinks: readonly string[];
  readonly opaque?: JsonObject;
}

/** A mirror session. It belongs to ports, so that it follows the VM. */
export interface MirrorSession {
  readonly name: string;
  readonly sourcePorts: readonly string[];
  readonly direction: "in" | "out" | "both";
  readonly destination:
    | { readonly kind: "port"; readonly portKey: string }
    | { readonly kind: "erspan"; readonly address: string; readonly session: number }
    | { readonly kind: "vxlan"; readonly address: string; readonly vni: number };
}

/** The whole desired state of a switch. */
export interface SwitchSpec {
  readonly switchId: string;
  readonly name: string;
  readonly owner?: OwnerStamp;
  /** The largest frame payload, in bytes. A provider that tunnels refuses what its underlay can't carry. */
  readonly mtu: number;
  readonly members: readonly HostMemberSpec[];
  readonly portGroups: readonly PortGroupSpec[];
  readonly mirrors?: readonly MirrorSession[];
  /** Where flow records go; needs the facet `flowExport`. */
  readonly flowExport?: { readonly collector: string; readonly port: number; readonly activeTimeoutMs: number };
  /** Needs the facet `discovery`. */
  readonly discovery?: "off" | "listen" | "advertise" | "both";
  /** Needs the facet `multicastSnooping`. */
  readonly multicastSnooping?: boolean;
  /** The vendor's own data; travels with the switch. */
  readonly opaque?: JsonObject;
}

/** Why a spec is refused. */
export interface SpecProblem {
  /** Where: `portGroups[2].setting.shapingIn`. */
  readonly path: string;
  readonly message: string;
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

/** Schema of {@link TeamingSetting}. */
export const teamingSetting: z.ZodType<TeamingSetting> = schemaOf<TeamingSetting>()(
  z.object({
    policy: z.enum(["failoverOrder", "originatingPort", "sourceMac", "lacp"]),
    active: z.array(z.string()),
    standby: z.array(z.string()),
    failback: z.boolean(),
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

/** Schema of {@link PortSetting}. */
export const portSetting: z.ZodType<PortSetting> = schemaOf<PortSetting>()(
  z.object({
    vlan: vlanSetting,
    blocked: z.boolean(),
    security: securitySetting,
    teaming: teamingSetting.exactOptional(),
    shapingIn: shapingSetting.exactOptional(),
    shapingOut: shapingSetting.exactOptional(),
    filters: z
      .array(
        z.object({
          name: z.string(),
          direction: z.enum(["in", "out", "both"]),
          match: z.object({
            sourceMac: macAddress.exactOptional(),
            destinationMac: macAddress.exactOptional(),
            etherType: z.int().min(0).max(0xffff).exactOptional(),
            sourcePrefix: z.string().exactOptional(),
            destinationPrefix: z.string().exactOptional(),
            protocol: z.int().min(0).max(255).exactOptional(),
            sourcePort: z.int().min(0).max(0xffff).exactOptional(),
            destinationPort: z.int().min(0).max(0xffff).exactOptional(),
          }),
          action: z.enum(["accept", "drop"]),
        }),
      )
      .exactOptional(),
  }),
);

/** Schema of {@link SwitchSpec}. */
export const switchSpec: z.ZodType<SwitchSpec> = schemaOf<SwitchSpec>()(
  z.object({
    switchId: identifier,
    name: objectName,
    owner: ownerStamp.exactOptional(),
    mtu: z.int().min(68).max(9216),
    members: z.array(z.object({ host: z.string(), uplinks: z.array(z.string()), opaque: jsonObject.exactOptional() })),
    portGroups: z.array(
      z.object({
        key: identifier,
        name: objectName,
        binding: z.enum(["static", "ephemeral"]),
        setting: portSetting,
        opaque: jsonObject.exactOptional(),
      }),
    ),
    mirrors: z
      .array(
        z.object({
          name: z.string(),
          sourcePorts: z.array(z.string()),
          direction: z.enum(["in", "out", "both"]),
          destination: z.discriminatedUnion("kind", [
            z.object({ kind: z.literal("port"), portKey: z.string() }),
            z.object({ kind: z.literal("erspan"), address: z.string(), session: z.int() }),
            z.object({ kind: z.literal("vxlan"), address: z.string(), vni: z.int() }),
          ]),
        }),
      )
      .exactOptional(),
    flowExport: z.object({ collector: z.string(), port: z.int(), activeTimeoutMs: z.number() }).exactOptional(),
    discovery: z.enum(["off", "listen", "advertise", "both"]).exactOptional(),
    multicastSnooping: z.boolean().exactOptional(),
    opaque: jsonObject.exactOptional(),
  }),
);

/** Schema of {@link SpecProblem}. */
export const specProblem: z.ZodType<SpecProblem> = schemaOf<SpecProblem>()(
  z.object({ path: z.string(), message: z.string() }),
);
