import { objectName, schemaOf } from "@vdc-os/core";
import type { FlowExport, LoadBalancer, MirrorSession, UplinkSpec } from "@vdc-os/core/network/v1";
import { z } from "zod";
import { type SwitchPortName, switchPortName } from "./switch-port-name.ts";

/** A mirror session. Its ports are VMs' NICs, wherever the VMs run. */
export interface SwitchMirror extends Pick<MirrorSession, "name" | "direction" | "snapLength" | "samplingRate"> {
  readonly sources: readonly SwitchPortName[];
  readonly destination:
    | { readonly kind: "port"; readonly port: SwitchPortName }
    | Exclude<MirrorSession["destination"], { readonly kind: "port" }>;
}

const udpPort = z.int().min(1).max(0xffff);

/** Schema of {@link UplinkSpec}. */
export const uplinkSpec: z.ZodType<UplinkSpec> = schemaOf<UplinkSpec>()(
  z.object({
    name: z.string(),
    backing: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("interface"), interfaceName: z.string() }),
      z.object({ kind: z.literal("stream"), path: z.string() }),
    ]),
  }),
);

/** Schema of {@link SwitchMirror}. */
export const switchMirror: z.ZodType<SwitchMirror> = schemaOf<SwitchMirror>()(
  z.object({
    name: z.string(),
    sources: z.array(switchPortName),
    direction: z.enum(["in", "out", "both"]).default("both"),
    snapLength: z.int().min(14).max(65535).exactOptional(),
    samplingRate: z.int().positive().exactOptional(),
    destination: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("port"), port: switchPortName }),
      z.object({ kind: z.literal("erspan"), address: z.string(), session: z.int().min(0).max(1023) }),
      z.object({
        kind: z.literal("vxlan"),
        address: z.string(),
        port: udpPort.exactOptional(),
        vni: z.int().min(0).max(0xff_ffff),
      }),
    ]),
  }),
);

/** Schema of {@link FlowExport}. */
export const flowExport: z.ZodType<FlowExport> = schemaOf<FlowExport>()(
  z.object({
    collector: z.string(),
    port: udpPort,
    observationDomainId: z.int().min(0).max(0xffff_ffff),
    activeTimeoutMs: z.number().positive(),
    idleTimeoutMs: z.number().positive(),
    samplingRate: z.int().positive(),
  }),
);

/** Schema of {@link LoadBalancer}. */
export const loadBalancer: z.ZodType<LoadBalancer> = schemaOf<LoadBalancer>()(
  z.object({
    name: objectName,
    protocol: z.enum(["tcp", "udp"]),
    address: z.string(),
    port: udpPort,
    backends: z.array(z.object({ address: z.string(), port: udpPort })),
  }),
);
