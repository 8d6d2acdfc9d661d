import { jsonObject, type JsonObject, objectName, schemaOf } from "@vdc-os/core";
import type { FlowExport, LoadBalancer, MemberStatus, SwitchSpec, UplinkSpec } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { switchProblems } from "../decisions/switch-problems.ts";
import { defineKind, type Kind } from "../resource/kind.ts";
import { type PortPolicy, portPolicy, type PortPolicyName, portPolicyNames } from "./port-policy.ts";
import { flowExport, loadBalancer, type SwitchMirror, switchMirror, uplinkSpec } from "./switch-parts.ts";

/** A template for ports. */
export interface PortGroup {
  readonly name: string;
  readonly policy: PortPolicy;
  /** Which settings a port may set for itself. Defaults to none. */
  readonly overrides: readonly PortPolicyName[];
  /** `static` ports (the default) last until they are removed; `ephemeral` ones as long as they are connected. */
  readonly binding: "static" | "ephemeral";
  /** How many ports may be connected at once; as many as there is room for where it is absent. */
  readonly maxPorts?: number;
  /** The provider's own data of the port group. */
  readonly opaque?: JsonObject;
}

/** What a distributed switch must be. */
export interface SwitchKindSpec {
  /** The network provider's name. */
  readonly network: string;
  /** The member hosts. */
  readonly hosts: readonly string[];
  /** How members reach each other: in tunnels between them (`overlay`, the default), or with VLAN tags over their `uplinks`. */
  readonly transport: SwitchSpec["transport"];
  /** Each host's ways to the physical network, by host. The names are the switch's, and the same on every host: teaming orders use them. */
  readonly uplinks?: Readonly<Record<string, readonly UplinkSpec[]>>;
  /** Defaults to 1450, which a VXLAN over an Ethernet of 1500 carries. */
  readonly mtu: number;
  /** What port groups take over. */
  readonly policy: PortPolicy;
  readonly portGroups: readonly PortGroup[];
  readonly mirrors?: readonly SwitchMirror[];
  /** Where flow records go (IPFIX). */
  readonly flowExport?: FlowExport;
  /** Link layer discovery on the uplinks. */
  readonly discovery?: NonNullable<SwitchSpec["discovery"]>;
  /** Multicast frames go to those that asked for them. */
  readonly multicastSnooping?: boolean;
  readonly loadBalancers?: readonly LoadBalancer[];
  /** The provider's own data of the switch. */
  readonly opaque?: JsonObject;
  /** The provider's own data of its members, by host. */
  readonly memberOpaque?: Readonly<Record<string, JsonObject>>;
}

/** A port that something is wrong with. */
export interface PortProblem {
  readonly portKey: string;
  /** Whose it is, where it is a VM's. */
  readonly vm?: string;
  readonly nic?: string;
  readonly host: string;
  readonly problem: string;
}

/** A spec on trial: see `SwitchClient.applyOnTrial`. */
export interface SwitchTrial {
  readonly rollbackToken: string;
  /** The provider's generation that is on trial. */
  readonly generation: number;
  /** The generation of the object that it is a trial for. */
  readonly specGeneration: number;
  readonly specDigest: string;
  readonly spec: SwitchKindSpec;
  /** When it is taken back, in milliseconds since 1970. */
  readonly deadline: number;
  /** What was decided, and is being done. */
  readonly decision?: "confirm" | "rollback";
}

/** What a distributed switch is. */
export interface SwitchKindStatus {
  /** The generation at the provider that stands for the spec. It rises with every change, also when a VM's NIC of a mirror has another port. */
  readonly desiredGeneration?: number;
  /** The highest that was ever given: one that was taken back is not used again. */
  readonly highestGeneration?: number;
  /** The generation of the object that `desiredGeneration` stands for, and a digest of what was handed to the provider. */
  readonly specGeneration?: number;
  readonly specDigest?: string;
  readonly members?: readonly MemberStatus[];
  readonly connectedPorts?: number;
  readonly linksUp?: number;
  /** The first ports that something is wrong with, at most 50. */
  readonly portProblems?: readonly PortProblem[];
  readonly trial?: SwitchTrial;
}

/** The condition type that says whether every port of the switch is well. */
export const portsCondition = "PortsHealthy";

/** The condition type that says whether every VM's NIC that a mirror session names is there. */
export const mirrorsCondition = "MirrorsResolved";

/** Schema of {@link SwitchKindSpec}. */
export const switchKindSpec: z.ZodType<SwitchKindSpec> = schemaOf<SwitchKindSpec>()(
  z.object({
    network: z.string(),
    hosts: z.array(z.string()),
    transport: z.enum(["overlay", "uplinks"]).default("overlay"),
    uplinks: z.record(z.string(), z.array(uplinkSpec)).exactOptional(),
    mtu: z.int().min(68).max(9216).default(1450),
    policy: portPolicy.default({}),
    portGroups: z.array(
      z.object({
        name: objectName,
        policy: portPolicy.default({}),
        overrides: z.array(z.enum(portPolicyNames)).default([]),
        binding: z.enum(["static", "ephemeral"]).default("static"),
        maxPorts: z.int().nonnegative().exactOptional(),
        opaque: jsonObject.exactOptional(),
      }),
    ),
    mirrors: z.array(switchMirror).exactOptional(),
    flowExport: flowExport.exactOptional(),
    discovery: z.enum(["listen", "advertise", "both"]).exactOptional(),
    multicastSnooping: z.boolean().exactOptional(),
    loadBalancers: z.array(loadBalancer).exactOptional(),
    opaque: jsonObject.exactOptional(),
    memberOpaque: z.record(z.string(), jsonObject).exactOptional(),
  }),
);

const switchTrial = schemaOf<SwitchTrial>()(
  z.object({
    rollbackToken: z.string(),
    generation: z.int(),
    specGeneration: z.int(),
    specDigest: z.string(),
    spec: switchKindSpec,
    deadline: z.number(),
    decision: z.enum(["confirm", "rollback"]).exactOptional(),
  }),
);

/** Schema of {@link SwitchKindStatus}. */
export const switchKindStatus: z.ZodType<SwitchKindStatus> = schemaOf<SwitchKindStatus>()(
  z.object({
    desiredGeneration: z.int().exactOptional(),
    highestGeneration: z.int().exactOptional(),
    specGeneration: z.int().exactOptional(),
    specDigest: z.string().exactOptional(),
    members: z
      .array(
        z.object({
          host: z.string(),
          state: z.enum(["up", "pending", "outOfSync", "warning", "disconnected", "down"]),
          realizedGeneration: z.int(),
          detail: z.string(),
        }),
      )
      .exactOptional(),
    connectedPorts: z.int().exactOptional(),
    linksUp: z.int().exactOptional(),
    portProblems: z
      .array(
        z.object({
          portKey: z.string(),
          vm: z.string().exactOptional(),
          nic: z.string().exactOptional(),
          host: z.string(),
          problem: z.string(),
        }),
      )
      .exactOptional(),
    trial: switchTrial.exactOptional(),
  }),
);

/** A mirror session as a caller asks for it. `direction` defaults to `both`. */
export type SwitchMirrorInput = Omit<SwitchMirror, "direction"> & Partial<Pick<SwitchMirror, "direction">>;

/** A switch as a caller asks for it. */
export type SwitchInput = Pick<SwitchKindSpec, "network" | "hosts"> &
  Partial<Omit<SwitchKindSpec, "portGroups" | "mirrors">> & {
    readonly portGroups: readonly (Pick<PortGroup, "name"> & Partial<PortGroup>)[];
    readonly mirrors?: readonly SwitchMirrorInput[];
  };

/** The finalizer that holds a switch until the provider has removed it. */
export const switchFinalizer = "vdc.switch";

/** Distributed switches. */
export const switchKind: Kind<SwitchKindSpec, SwitchKindStatus, SwitchInput> = defineKind<
  SwitchKindSpec,
  SwitchKindStatus,
  SwitchInput
>()({
  kind: "Switch",
  apiVersion: "v1",
  spec: switchKindSpec,
  status: switchKindStatus,
  initialStatus: {},
  immutable: ["/network"],
  finalizers: [switchFinalizer],
  validate: ({ spec }) => switchProblems(spec),
});
