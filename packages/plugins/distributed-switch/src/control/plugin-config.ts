import { objectName } from "@vdc-os/core";
import { z } from "zod";
import { type DataPlaneLimits, dataPlaneLimits } from "../dataplane/data-plane-limits.ts";

/** Config of the plugin. */
export interface DistributedSwitchConfig {
  /** The provider's name; the state is kept under `network/<name>/`. */
  readonly name: string;
  /** Uid of the datacenter that the switch processes on the hosts belong to. Defaults to `default`. */
  readonly datacenter?: string | undefined;
  /** The largest IP packet that passes between all hosts, in bytes. Defaults to `1500`. */
  readonly underlayMtu?: number | undefined;
  /** The UDP port that each host's tunnel endpoint tries first. Defaults to 0: any free one, which is then kept. */
  readonly basePort?: number | undefined;
  /**
   * What the NICs of VMs are joined by: `stream`, a socket of QEMU's, which needs no rights; or `tap`, a tap that the switch makes and the VM monitor
   * opens, which needs root on the hosts and a hypervisor that takes taps. A NIC that is connected keeps what it has. Defaults to `stream`.
   */
  readonly nics?: "stream" | "tap" | undefined;
  /** What bounds the memory and work of each host's data plane, where it is to be something else than `defaultLimits`. */
  readonly limits?: Partial<DataPlaneLimits> | undefined;
  /** How often a host is looked at when nothing happens, in milliseconds. Defaults to `2_000`. */
  readonly checkIntervalMs?: number | undefined;
  /** How long a host's answer is waited for, in milliseconds. Defaults to `5_000`. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Schema of {@link DistributedSwitchConfig}. */
export const distributedSwitchConfig: z.ZodType<DistributedSwitchConfig> = z.object({
  name: objectName,
  datacenter: z.string().min(1).optional(),
  underlayMtu: z.int().min(576).max(65535).optional(),
  basePort: z.int().min(0).max(65535).optional(),
  nics: z.enum(["stream", "tap"]).optional(),
  limits: dataPlaneLimits.optional(),
  checkIntervalMs: z.number().positive().optional(),
  requestTimeoutMs: z.number().positive().optional(),
});
