import { z } from "zod";
import { identifier, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import { type JsonObject, jsonObject } from "../../schema/json.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type PortSetting, portSetting } from "./port-setting.ts";

/** A template for ports. */
export interface PortGroupSpec {
  readonly key: string;
  readonly name: string;
  /** `static` ports last until they are removed; `ephemeral` ones as long as they are connected. */
  readonly binding: "static" | "ephemeral";
  /** How many ports may be connected at once; as many as there is room for where it is absent. */
  readonly maxPorts?: number;
  readonly setting: PortSetting;
  /** The vendor's own data; travels with the port group. */
  readonly opaque?: JsonObject;
}

/** One of a host's ways to the physical network. */
export interface UplinkSpec {
  /** The switch's name for it, which teaming orders use; the same on every host. */
  readonly name: string;
  /** What it is on this host: an interface of the host, or a stream of frames on a Unix socket (QEMU's framing), which the switch dials. */
  readonly backing:
    | { readonly kind: "interface"; readonly interfaceName: string }
    | { readonly kind: "stream"; readonly path: string };
}

/** A host that is a member of the switch. */
export interface HostMemberSpec {
  readonly host: string;
  readonly uplinks: readonly UplinkSpec[];
  /** The vendor's own data; travels with the member. */
  readonly opaque?: JsonObject;
}

/** A mirror session. It belongs to ports, so that it follows the VM. */
export interface MirrorSession {
  readonly name: string;
  readonly sourcePorts: readonly string[];
  /** `in` is what the VM sends. */
  readonly direction: "in" | "out" | "both";
  /** How much of each frame is copied, in bytes; all of it where it is absent. */
  readonly snapLength?: number;
  /** One of so many frames is copied; each of them where it is absent. */
  readonly samplingRate?: number;
  readonly destination:
    | { readonly kind: "port"; readonly portKey: string }
    | { readonly kind: "erspan"; readonly address: string; readonly session: number }
    | { readonly kind: "vxlan"; readonly address: string; readonly port?: number; readonly vni: number };
}

/** Where flow records go (IPFIX, RFC 7011). */
export interface FlowExport {
  readonly collector: string;
  readonly port: number;
  readonly observationDomainId: number;
  readonly activeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** One of so many frames is looked at; 1 for each. */
  readonly samplingRate: number;
}

/** An address that stands for several servers. Needs the facet `loadBalancing`. */
export interface LoadBalancer {
  readonly name: string;
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly backends: readonly { readonly address: string; readonly port: number }[];
}

/** The whole desired state of a switch. */
export interface SwitchSpec {
  readonly switchId: string;
  readonly name: string;
  readonly owner?: OwnerStamp;
  /** The largest frame payload, in bytes. A provider that tunnels refuses what its underlay can't carry. */
  readonly mtu: number;
  /** How members reach each other: in tunnels between them, or with VLAN tags over their uplinks. The attribute `transports` tells which there are. */
  readonly transport: "overlay" | "uplinks";
  readonly members: readonly HostMemberSpec[];
  readonly portGroups: readonly PortGroupSpec[];
  /** Needs the facet `mirroring`. */
  readonly mirrors?: readonly MirrorSession[];
  /** Needs the facet `flowExport`. */
  readonly flowExport?: FlowExport;
  /** Link layer discovery (IEEE 802.1AB) on the uplinks. Needs the facet `discovery`. */
  readonly discovery?: "listen" | "advertise" | "both";
  /** Multicast frames go to those that asked for them (RFC 4541). Needs the facet `multicastSnooping`. */
  readonly multicastSnooping?: boolean;
  readonly loadBalancers?: readonly LoadBalancer[];
  /** The vendor's own data; travels with the switch. */
  readonly opaque?: JsonObject;
}

/** Why a spec is refused. */
export interface SpecProblem {
  /** Where: `portGroups[2].setting.shapingIn`. */
  readonly path: string;
  readonly message: string;
}

const udpPort = z.int().min(1).max(0xffff);

/** Schema of {@link SwitchSpec}. */
export const switchSpec: z.ZodType<SwitchSpec> = schemaOf<SwitchSpec>()(
  z.object({
    switchId: identifier,
    name: objectName,
    owner: ownerStamp.exactOptional(),
    mtu: z.int().min(68).max(9216),
    transport: z.enum(["overlay", "uplinks"]),
    members: z.array(
      z.object({
        host: z.string(),
        uplinks: z.array(
          z.object({
            name: z.string(),
            backing: z.discriminatedUnion("kind", [
              z.object({ kind: z.literal("interface"), interfaceName: z.string() }),
              z.object({ kind: z.literal("stream"), path: z.string() }),
            ]),
          }),
        ),
        opaque: jsonObject.exactOptional(),
      }),
    ),
    portGroups: z.array(
      z.object({
        key: identifier,
        name: objectName,
        binding: z.enum(["static", "ephemeral"]),
        maxPorts: z.int().nonnegative().exactOptional(),
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
          snapLength: z.int().min(14).max(65535).exactOptional(),
          samplingRate: z.int().positive().exactOptional(),
          destination: z.discriminatedUnion("kind", [
            z.object({ kind: z.literal("port"), portKey: z.string() }),
            z.object({ kind: z.literal("erspan"), address: z.string(), session: z.int().min(0).max(1023) }),
            z.object({
              kind: z.literal("vxlan"),
              address: z.string(),
              port: udpPort.exactOptional(),
              vni: z.int().min(0).max(0xff_ffff),
            }),
          ]),
        }),
      )
      .exactOptional(),
    flowExport: z
      .object({
        collector: z.string(),
        port: udpPort,
        observationDomainId: z.int().min(0).max(0xffff_ffff),
        activeTimeoutMs: z.number().positive(),
        idleTimeoutMs: z.number().positive(),
        samplingRate: z.int().positive(),
      })
      .exactOptional(),
    discovery: z.enum(["listen", "advertise", "both"]).exactOptional(),
    multicastSnooping: z.boolean().exactOptional(),
    loadBalancers: z
      .array(
        z.object({
          name: objectName,
          protocol: z.enum(["tcp", "udp"]),
          address: z.string(),
          port: udpPort,
          backends: z.array(z.object({ address: z.string(), port: udpPort })),
        }),
      )
      .exactOptional(),
    opaque: jsonObject.exactOptional(),
  }),
);

/** Schema of {@link SpecProblem}. */
export const specProblem: z.ZodType<SpecProblem> = schemaOf<SpecProblem>()(
  z.object({ path: z.string(), message: z.string() }),
);
