import { jsonObject, type JsonObject, objectName, schemaOf } from "@vdc-os/core";
import type { SecuritySetting, ShapingSetting, TeamingSetting, VlanSetting } from "@vdc-os/core/network/v1";
import { securitySetting, shapingSetting, teamingSetting, vlanSetting } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** Settings that a port group or a port takes over from above where it says nothing. */
export interface PortPolicy {
  readonly vlan?: VlanSetting;
  readonly blocked?: boolean;
  readonly security?: SecuritySetting;
  readonly teaming?: TeamingSetting;
  readonly shapingIn?: ShapingSetting;
  readonly shapingOut?: ShapingSetting;
}

/** A template for ports. */
export interface PortGroup {
  readonly name: string;
  readonly policy: PortPolicy;
  /** Which settings a port may set for itself. Defaults to none. */
  readonly overrides: readonly (keyof PortPolicy)[];
}

/** What a distributed switch must be. */
export interface SwitchKindSpec {
  /** The network provider's name. */
  readonly network: string;
  /** The member hosts. */
  readonly hosts: readonly string[];
  /** Defaults to 1450, which a VXLAN over an Ethernet of 1500 carries. */
  readonly mtu: number;
  /** What port groups take over. */
  readonly policy: PortPolicy;
  readonly portGroups: readonly PortGroup[];
  /** The provider's own data. */
  readonly opaque?: JsonObject;
}

/** What a distributed switch is. */
export interface SwitchKindStatus {
  readonly desiredGeneration?: number;
  readonly members?: readonly {
    readonly host: string;
    readonly state: string;
    readonly realizedGeneration: number;
    readonly detail: string;
  }[];
  readonly connectedPorts?: number;
}

const portPolicy = z.object({
  vlan: vlanSetting.exactOptional(),
  blocked: z.boolean().exactOptional(),
  security: securitySetting.exactOptional(),
  teaming: teamingSetting.exactOptional(),
  shapingIn: shapingSetting.exactOptional(),
  shapingOut: shapingSetting.exactOptional(),
});

/** Schema of {@link SwitchKindSpec}. */
export const switchKindSpec: z.ZodType<SwitchKindSpec> = schemaOf<SwitchKindSpec>()(
  z.object({
    network: z.string(),
    hosts: z.array(z.string()),
    mtu: z.int().min(68).max(9216).default(1450),
    policy: portPolicy.default({}),
    portGroups: z.array(
      z.object({
        name: objectName,
        policy: portPolicy.default({}),
        overrides: z.array(z.enum(["vlan", "blocked", "security", "teaming", "shapingIn", "shapingOut"])).default([]),
      }),
    ),
    opaque: jsonObject.exactOptional(),
  }),
);

/** Schema of {@link SwitchKindStatus}. */
export const switchKindStatus: z.ZodType<SwitchKindStatus> = schemaOf<SwitchKindStatus>()(
  z.object({
    desiredGeneration: z.int().exactOptional(),
    members: z
      .array(z.object({ host: z.string(), state: z.string(), realizedGeneration: z.int(), detail: z.string() }))
      .exactOptional(),
    connectedPorts: z.int().exactOptional(),
  }),
);

/** A switch as a caller asks for it. */
export type SwitchInput = Pick<SwitchKindSpec, "network" | "hosts"> &
  Partial<Omit<SwitchKindSpec, "portGroups">> & {
    readonly portGroups: readonly (Pick<PortGroup, "name"> & Partial<PortGroup>)[];
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
  validate({ spec }) {
    const names = spec.portGroups.map((group) => group.name);
    return names.flatMap((name, index) =>
      names.indexOf(name) === index
        ? []
        : [{ path: `/portGroups/${index}/name`, message: `there are two port groups '${name}'` }],
    );
  },
});
