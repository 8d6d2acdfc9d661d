import { isIP } from "node:net";
import { z } from "zod";
import { type DataPlaneLimits, dataPlaneLimits } from "./data-plane-limits.ts";
import { findContradictions } from "./config-contradictions.ts";
import { ETHERNET_HEADER_BYTES, MAX_MTU } from "./ethernet-frame.ts";
import { isInterfaceName } from "./interface-name.ts";
import type { Redirect } from "./peer-ingress.ts";
import type { MirrorSession } from "./mirror-session.ts";
import { macText, portSettingsSchema, vlanId } from "./port-settings-schema.ts";
import type { PrivateVlan } from "./private-vlans.ts";
import { MAX_VNI_BASE, VNIS_PER_SWITCH } from "./segment.ts";
import type { Gate, PortSettings } from "./switch-port.ts";
import type { TunnelPeer } from "./switch-tunnel.ts";
import type { UdpAddress } from "./vxlan-endpoint.ts";
import { MAX_VNI } from "./vxlan-header.ts";

/** The tunnel endpoint of this host. */
export interface VtepConfig {
  /** Where tunnelled frames are received. Port 0 takes a free one; `status` tells which. */
  readonly listen: UdpAddress;
  /** The largest IP packet that reaches every peer unfragmented, in octets. Defaults to `1500`. */
  readonly underlayMtu?: number | undefined;
}

/** One port: a VM's NIC. */
export interface DataPlanePortConfig {
  /** Unique in the data plane. */
  readonly key: string;
  /** The Unix socket on which QEMU listens for this NIC. Without it and an interface the port is down. */
  readonly socketPath?: string | undefined;
  /** Instead of a socket: an interface of this host, such as a tap that a VM monitor opens. Needs `DataPlaneOptions.interfaces`. */
  readonly interfaceName?: string | undefined;
  readonly settings: PortSettings;
  /** The gate with which the port comes into being. Later applies leave the gate alone. Defaults to `open`. */
  readonly initialGate?: Gate | undefined;
}

/** A way of this host to the physical network. */
export interface UplinkConfig {
  /** The switch's name for it, which teaming orders use. */
  readonly name: string;
  /** A stream of frames in QEMU's framing on a Unix socket, which the switch dials; or an interface of the host, which needs `DataPlaneOptions.interfaces`. */
  readonly backing:
    | { readonly kind: "stream"; readonly path: string }
    | { readonly kind: "interface"; readonly interfaceName: string };
}

/** What is accounted to flows. */
export interface FlowAccounting {
  /** A flow is told at the latest after so long. */
  readonly activeTimeoutMs: number;
  /** A flow without frames for so long is told. */
  readonly idleTimeoutMs: number;
  /** One of so many frames is looked at. */
  readonly samplingRate: number;
}

/** One distributed switch's part on this host. */
export interface DataPlaneSwitchConfig {
  readonly key: string;
  /** Where the switch's VNIs start: a multiple of 4096 above 0, the same on every host and no other switch's. */
  readonly vniBase: number;
  /** The largest payload of a frame, in octets. Defaults to `1500`. */
  readonly maxMtu?: number | undefined;
  /** How long a learned address is remembered. Defaults to `300_000`. */
  readonly macAgeingMs?: number | undefined;
  /** The other hosts; empty for a switch of this host alone. */
  readonly peers: readonly TunnelPeer[];
  readonly ports: readonly DataPlanePortConfig[];
  /** The secondaries of all private VLANs of the switch, on whichever host their ports are. Those of the ports here need not be named. */
  readonly privateVlans?: readonly PrivateVlan[] | undefined;
  /** The mirror sessions of the switch, on whichever host their ports are. */
  readonly mirrors?: readonly MirrorSession[] | undefined;
  /** What happens to multicast: it goes to everybody, or to those that asked for it. Defaults to `flood`. */
  readonly multicast?: "flood" | "snooping" | undefined;
  /** How hosts reach each other: in tunnels between peers, or with VLAN tags over the uplinks. Defaults to `overlay`. */
  readonly transport?: "overlay" | "uplinks" | undefined;
  /** Only used where `transport` is `uplinks`. */
  readonly uplinks?: readonly UplinkConfig[] | undefined;
  /** Ports of this host that take the copies of other hosts' mirror sessions, by the session's number. */
  readonly mirrorTargets?: readonly { readonly session: number; readonly portKey: string }[] | undefined;
  /** Addresses of ports that have moved to another host just now: what comes here for them from elsewhere is sent on. */
  readonly redirects?: readonly Redirect[] | undefined;
  /** Peers that ports have come from just now: where their unicast frames were sent first isn't learned, for they pass on those of others. */
  readonly arrivals?: readonly string[] | undefined;
  /** Accounts what passes the ports to flows, for `DataPlaneOptions.onFlows`. Nothing when absent. */
  readonly flows?: FlowAccounting | undefined;
}

/** Everything that this host's data plane should be. Plain data. */
export interface DataPlaneConfig {
  /** Grows with every change; a configuration older than the realised one is refused. */
  readonly generation: number;
  readonly vtep?: VtepConfig | undefined;
  readonly switches: readonly DataPlaneSwitchConfig[];
  /** What bounds memory and work, where it is to be something else than `defaultLimits`. */
  readonly limits?: Partial<DataPlaneLimits> | undefined;
}

const ipAddress = z.string().refine((text) => isIP(text) !== 0, "must be a literal IP address");
const udpAddress = z.object({
  address: ipAddress,
  port: z.int().min(0).max(65535),
});
const peerPort = z.int().min(1).max(65535);
const gate = z.enum(["open", "hold", "drop"]);

const key = z.string().min(1).max(256);

// sun_path holds 108 bytes with its terminator; longer paths fail in confusing ways at connect time.
const socketPath = z
  .string()
  .min(1)
  .refine((path) => Buffer.byteLength(path) <= 107, "is too long for a Unix socket (107 bytes)");

const interfaceName = z.string().refine(isInterfaceName, "can't be the name of an interface");

const mirrorSession = z.object({
  name: key,
  sourcePorts: z.array(key),
  direction: z.enum(["in", "out", "both"]),
  // Less than this is no Ethernet frame any more.
  snapLength: z.int().min(ETHERNET_HEADER_BYTES).optional(),
  samplingRate: z.int().min(1).optional(),
  destination: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("port"), portKey: key }),
    z.object({ kind: z.literal("peer"), peer: key, session: z.int().min(0).max(0xffff) }),
    z.object({ kind: z.literal("erspan"), address: ipAddress, session: z.int().min(0).max(1023) }),
    z.object({
      kind: z.literal("vxlan"),
      address: ipAddress,
      port: peerPort.optional(),
      vni: z.int().min(0).max(MAX_VNI),
    }),
  ]),
});

/** Checks the shape; `parseDataPlaneConfig` checks what lies across fields too. */
export const dataPlaneConfigSchema: z.ZodType<DataPlaneConfig> = z.object({
  generation: z.int().min(1),
  vtep: z.object({ listen: udpAddress, underlayMtu: z.int().min(576).max(65535).optional() }).optional(),
  limits: dataPlaneLimits.optional(),
  switches: z.array(
    z.object({
      key,
      vniBase: z
        .int()
        .min(VNIS_PER_SWITCH)
        .max(MAX_VNI_BASE)
        .refine((base) => base % VNIS_PER_SWITCH === 0, `must be a multiple of ${VNIS_PER_SWITCH}`),
      maxMtu: z.int().min(68).max(MAX_MTU).optional(),
      macAgeingMs: z.int().min(1).optional(),
      peers: z.array(
        udpAddress.extend({
          key,
          port: peerPort,
          anySourcePort: z.boolean().optional(),
          refuses: z.array(macText).optional(),
        }),
      ),
      ports: z.array(
        z.object({
          key,
          socketPath: socketPath.optional(),
          interfaceName: interfaceName.optional(),
          settings: portSettingsSchema,
          initialGate: gate.optional(),
        }),
      ),
      privateVlans: z.array(z.object({ primary: vlanId, secondary: vlanId })).optional(),
      mirrorTargets: z.array(z.object({ session: z.int().min(0).max(0xffff), portKey: key })).optional(),
      redirects: z.array(z.object({ mac: macText, peer: key })).optional(),
      arrivals: z.array(key).optional(),
      mirrors: z.array(mirrorSession).optional(),
      multicast: z.enum(["flood", "snooping"]).optional(),
      transport: z.enum(["overlay", "uplinks"]).optional(),
      uplinks: z
        .array(
          z.object({
            name: key.max(64),
            backing: z.discriminatedUnion("kind", [
              z.object({ kind: z.literal("stream"), path: socketPath }),
              z.object({ kind: z.literal("interface"), interfaceName }),
            ]),
          }),
        )
        .max(32)
        .optional(),
      flows: z
        .object({
          activeTimeoutMs: z.int().min(1000),
          idleTimeoutMs: z.int().min(1000),
          samplingRate: z.int().min(1),
        })
        .optional(),
    }),
  ),
});

/** Everything that is wrong with a configuration, one sentence each with the path to the place; or the configuration. */
export function parseDataPlaneConfig(
  input: unknown,
): { readonly config: DataPlaneConfig } | { readonly problems: readonly string[] } {
  const parsed = dataPlaneConfigSchema.safeParse(input);
  if (!parsed.success) {
    return { problems: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
  }
  const problems = findContradictions(parsed.data);
  return problems.length > 0 ? { problems } : { config: parsed.data };
}
