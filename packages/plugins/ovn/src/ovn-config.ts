import { objectName } from "@vdc-os/core";
import { z } from "zod";

/** A host of the datacenter as OVN knows it. */
export interface OvnHostConfig {
  /** The chassis' name: `external_ids:system-id` of its Open vSwitch. Defaults to the host's name. */
  readonly chassis?: string | undefined;
  /**
   * Where the host's integration bridge speaks OpenFlow: `unix:<path>`, `tcp:<address>:<port>`, `ssl:<address>:<port>`. It is asked whether flows are really
   * there. Defaults to the management socket beside a `unix:` database; without either, what a chassis acknowledges is believed.
   */
  readonly openFlow?: string | undefined;
  /** The remotes of the host's Open vSwitch database. Without it the host's counters are not known, nor when flows are installed. */
  readonly openVswitch?: string | undefined;
}

/** Config of the plugin. */
export interface OvnConfig {
  /** The provider's name; what it owns in the northbound database is marked with it. */
  readonly name: string;
  /** Remotes of the northbound database, as OVN writes them: `unix:/run/ovn/ovnnb_db.sock`, `ssl:192.0.2.1:6641`. */
  readonly northbound: string;
  readonly southbound: string;
  /** Files for `ssl:` remotes. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** The hosts that can be members. */
  readonly hosts: Readonly<Record<string, OvnHostConfig>>;
  /** The bridge on each host that VM monitors plug NICs into. Defaults to `br-int`. */
  readonly bridge?: string | undefined;
  /** The largest IP packet that passes between all hosts, in bytes. Defaults to `1500`. */
  readonly underlayMtu?: number | undefined;
  /** How long hosts are waited for, in milliseconds. Defaults to `5_000`. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Schema of {@link OvnConfig}. */
export const ovnConfig: z.ZodType<OvnConfig> = z.object({
  name: objectName,
  northbound: z.string().min(1),
  southbound: z.string().min(1),
  tls: z.object({ ca: z.string(), cert: z.string(), key: z.string() }).optional(),
  hosts: z.record(
    z.string(),
    z.object({
      chassis: z.string().min(1).optional(),
      openVswitch: z.string().min(1).optional(),
      openFlow: z.string().min(1).optional(),
    }),
  ),
  bridge: z.string().min(1).optional(),
  underlayMtu: z.int().min(576).max(65535).optional(),
  requestTimeoutMs: z.number().positive().optional(),
});
