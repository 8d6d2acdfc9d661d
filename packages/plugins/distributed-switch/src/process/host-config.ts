import { z } from "zod";
import type { FlowExport } from "@vdc-os/core/network/v1";
import type { DataPlaneConfig, FlowAccounting, UplinkConfig } from "../dataplane/data-plane-config.ts";
import type { MirrorSession } from "../dataplane/mirror-session.ts";
import type { Redirect } from "../dataplane/peer-ingress.ts";
import type { PrivateVlan } from "../dataplane/private-vlans.ts";
import type { Gate, PortSettings } from "../dataplane/switch-port.ts";
import type { TunnelPeer } from "../dataplane/switch-tunnel.ts";
import { type DataPlaneLimits, dataPlaneLimits } from "../dataplane/data-plane-limits.ts";
import { isInterfaceName } from "../dataplane/interface-name.ts";
import { tapPrefix, type VmTap } from "./vm-taps.ts";

/** A port on this host: one attachment of one owner. */
export interface HostPort {
  /** The port, the same on every host and for every owner. */
  readonly id: string;
  /** The port's key in its switch. */
  readonly portKey: string;
  /** Counts the port's attachments: another one is another NIC, with counters of its own. */
  readonly attachment: number;
  /** The owner's generation. Calls that change the port must name it. */
  readonly generation: number;
  /** The Unix socket on which the VM monitor listens. */
  readonly path: string;
  /** Instead of a socket: the tap of this host that the VM monitor opens. The process makes it. */
  readonly tap?: string | undefined;
  readonly gate: Gate;
  readonly settings: PortSettings;
}

/** A switch's part on this host. */
export interface HostSwitchPart {
  readonly key: string;
  /** The generation of the spec that this comes from. */
  readonly specGeneration: number;
  readonly vniBase: number;
  readonly mtu: number;
  readonly peers: readonly TunnelPeer[];
  readonly ports: readonly HostPort[];
  readonly privateVlans: readonly PrivateVlan[];
  /** Addresses of ports that have moved away just now: what comes here for them goes on to that peer. */
  readonly redirects: readonly Redirect[];
  /** Hosts that ports have come from just now, which send such frames on. */
  readonly arrivals: readonly string[];
  readonly transport: "overlay" | "uplinks";
  readonly uplinks: readonly UplinkConfig[];
  /** Ports are named by their attachments. */
  readonly mirrors: readonly MirrorSession[];
  readonly mirrorTargets: readonly { readonly session: number; readonly portKey: string }[];
  readonly multicast: "flood" | "snooping";
  readonly flowExport?: FlowExport | undefined;
  readonly discovery?: "listen" | "advertise" | "both" | undefined;
  /** This host's name in the switch, and the switch's. */
  readonly host: string;
  readonly name: string;
}

/** All that a host's switch process should be. Plain data; the control side derives it from the desired state alone. */
export interface HostConfig {
  /** Grows with every change. */
  readonly generation: number;
  /** Port 0, and one that is taken, stand for any free port. */
  readonly vtep: { readonly address: string; readonly port: number };
  readonly underlayMtu: number;
  /** What bounds memory and work, where it is something else than usual. */
  readonly limits?: Partial<DataPlaneLimits> | undefined;
  readonly switches: readonly HostSwitchPart[];
}

const count = z.int().nonnegative();

/** Checks what the data plane's own schema does not. */
export const hostConfigSchema: z.ZodType<HostConfig> = z.object({
  generation: z.int().positive(),
  vtep: z.object({ address: z.string(), port: z.int().min(0).max(65535) }),
  underlayMtu: z.int(),
  limits: dataPlaneLimits.optional(),
  switches: z.array(
    z.object({
      key: z.string(),
      specGeneration: count,
      vniBase: z.int(),
      mtu: z.int(),
      peers: z.array(z.custom<TunnelPeer>((value) => typeof value === "object" && value !== null)),
      privateVlans: z.array(z.object({ primary: z.int(), secondary: z.int() })),
      redirects: z.array(z.object({ mac: z.string(), peer: z.string() })),
      arrivals: z.array(z.string()).default([]),
      transport: z.enum(["overlay", "uplinks"]),
      uplinks: z.array(z.custom<UplinkConfig>((value) => typeof value === "object" && value !== null)),
      mirrors: z.array(z.custom<MirrorSession>((value) => typeof value === "object" && value !== null)),
      mirrorTargets: z.array(z.object({ session: count, portKey: z.string() })),
      multicast: z.enum(["flood", "snooping"]),
      flowExport: z.custom<FlowExport>((value) => typeof value === "object" && value !== null).optional(),
      discovery: z.enum(["listen", "advertise", "both"]).optional(),
      host: z.string(),
      name: z.string(),
      ports: z.array(
        z.object({
          id: z.string(),
          portKey: z.string(),
          attachment: count,
          generation: z.int().positive(),
          path: z.string(),
          tap: z.string().startsWith(tapPrefix).refine(isInterfaceName).optional(),
          gate: z.enum(["open", "hold", "drop"]),
          settings: z.custom<PortSettings>((value) => typeof value === "object" && value !== null),
        }),
      ),
    }),
  ),
});

/** The taps that a configuration needs. */
export function tapsOf({ switches }: Pick<HostConfig, "switches">): readonly VmTap[] {
  return switches.flatMap(({ mtu, ports }) =>
    ports.flatMap(({ tap }) => (tap === undefined ? [] : [{ name: tap, mtu }])),
  );
}

/** Names an attachment in the data plane. */
export function attachmentKey(port: { readonly id: string; readonly attachment: number }): string {
  return `${port.id}.${port.attachment}`;
}

/** The data plane's configuration, listening on this port. */
export function toDataPlaneConfig(config: HostConfig, port: number, generation: number): DataPlaneConfig {
  return {
    generation,
    vtep: { listen: { address: config.vtep.address, port }, underlayMtu: config.underlayMtu },
    ...(config.limits === undefined ? {} : { limits: config.limits }),
    switches: config.switches.map((each) => ({
      key: each.key,
      vniBase: each.vniBase,
      maxMtu: each.mtu,
      peers: each.peers,
      privateVlans: each.privateVlans,
      redirects: each.redirects,
      arrivals: each.arrivals,
      transport: each.transport,
      uplinks: each.uplinks,
      mirrors: each.mirrors,
      mirrorTargets: each.mirrorTargets,
      multicast: each.multicast,
      ...(each.flowExport === undefined ? {} : { flows: accountingOf(each.flowExport) }),
      ports: each.ports.map((own) => ({
        key: attachmentKey(own),
        ...(own.tap === undefined ? { socketPath: own.path } : { interfaceName: own.tap }),
        settings: own.settings,
        initialGate: own.gate,
      })),
    })),
  };
}

function accountingOf({ activeTimeoutMs, idleTimeoutMs, samplingRate }: FlowExport): FlowAccounting {
  return { activeTimeoutMs, idleTimeoutMs, samplingRate };
}
