import { objectName } from "@vdc-os/core";
import { z } from "zod";

/** A host of the datacenter, and how its Open vSwitch is reached. */
export interface OpenVswitchHostConfig {
  /** The remotes of its database: `unix:/run/openvswitch/db.sock`, `ssl:192.0.2.1:6640`; several with commas. */
  readonly openVswitch: string;
  /**
   * Where its bridges speak OpenFlow: `unix:<path>` with `{bridge}` for the bridge's name, or `tcp:<address>:<port>` or `ssl:<address>:<port>`, at which
   * Open vSwitch is told to listen for the first switch, and at the ports behind it for further ones. Defaults to the management sockets beside a `unix:` database.
   */
  readonly openFlow?: string | undefined;
  /** The address of its tunnels. Not needed where a switch has one member. */
  readonly tunnelAddress?: string | undefined;
  /** Whether tunnels also send from that address, whatever the host's routes say. Not with the dummy datapath. Defaults to `false`. */
  readonly pinTunnelSource?: boolean | undefined;
  /** Open vSwitch's kind of datapath: `system` (the kernel's), `netdev`. Defaults to `system`. */
  readonly datapathType?: string | undefined;
}

/** Config of the plugin. */
export interface OpenVswitchConfig {
  /** The provider's name; what it owns on the hosts is marked with it. */
  readonly name: string;
  /** The hosts that can be members. */
  readonly hosts: Readonly<Record<string, OpenVswitchHostConfig>>;
  /** Files for `ssl:` remotes. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** The largest IP packet that passes between all hosts, in bytes. Defaults to `1500`. */
  readonly underlayMtu?: number | undefined;
  /** The first of the network identifiers (VNI) that tunnels are given, two by switch. Providers of the same hosts need ranges apart. Defaults to `65_536`. */
  readonly firstVni?: number | undefined;
  /** How long hosts are waited for, in milliseconds. Defaults to `5_000`. */
  readonly requestTimeoutMs?: number | undefined;
  /** How often the flows of each bridge are read back as a whole and put right, in milliseconds. Defaults to `30_000`. */
  readonly auditIntervalMs?: number | undefined;
}

/** Schema of {@link OpenVswitchConfig}. */
export const openVswitchConfig: z.ZodType<OpenVswitchConfig> = z.object({
  name: objectName,
  hosts: z.record(
    z.string(),
    z.object({
      openVswitch: z.string().min(1),
      openFlow: z.string().min(1).optional(),
      tunnelAddress: z.string().min(1).optional(),
      pinTunnelSource: z.boolean().optional(),
      datapathType: z.string().min(1).optional(),
    }),
  ),
  tls: z.object({ ca: z.string(), cert: z.string(), key: z.string() }).optional(),
  underlayMtu: z.int().min(576).max(65535).optional(),
  firstVni: z.int().min(1).max(0xff_0000).optional(),
  requestTimeoutMs: z.number().positive().optional(),
  auditIntervalMs: z.number().positive().optional(),
});
