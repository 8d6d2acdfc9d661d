import type { FencingStrength } from "@vdc-os/core";
import { objectName } from "@vdc-os/core";
import { type SecretRef, secretRef } from "@vdc-os/core/secret/v1";
import { z } from "zod";

/** Where a CSI driver is reached. */
export interface CsiEndpoint {
  /** Its Unix socket. */
  readonly socket: string;
  /**
   * The driver's program and its arguments. It is started when nothing answers on the socket, and again, with back-off, when it ends. It is told the
   * socket in the variable `CSI_ENDPOINT`, as CSI has it, and in each argument by `{socket}`. Without it somebody else runs the driver.
   */
  readonly command?: readonly string[] | undefined;
  /** Variables of the program's environment, beside those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** A node: a host whose volumes the driver publishes. */
export interface CsiNode {
  /** The host's name in the datacenter. */
  readonly host: string;
  /** The node's driver. Defaults to the controller's, for a driver that is both. */
  readonly endpoint?: CsiEndpoint | undefined;
}

/** Config of the plugin. */
export interface CsiStorageConfig {
  /** The provider's name, and the pool's. What it knows lies in the state store under this name. */
  readonly name: string;
  /** The controller's driver. */
  readonly endpoint: CsiEndpoint;
  /** The hosts on which volumes can be attached. */
  readonly nodes: readonly CsiNode[];
  /** A folder under which volumes are staged and published. It is made when it is absent. Sockets of volumes are not in it, so its path may be long. */
  readonly directory: string;
  /** Parameters of every volume (a storage class's). Defaults to none. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  /** The parameters that who creates a volume may give. Others are refused: a driver may ignore what it does not know. Defaults to none. */
  readonly allowedParameters?: readonly string[] | undefined;
  /** Secrets that the driver gets with each call that takes some, by the driver's key: references into the secret store. */
  readonly secrets?: Readonly<Record<string, SecretRef>> | undefined;
  /** The pool's size in bytes, for drivers that don't tell it. */
  readonly capacityBytes?: number | undefined;
  /** What is known of the driver: whether an unpublished volume can't be written by who had it open. Defaults to `detach` where the controller unpublishes, else `none`. */
  readonly fencing?: Exclude<FencingStrength, "enforced"> | undefined;
  /** Whether alpha parts of the specification (`ControllerGetVolume`, volume conditions) are used where the driver has them. Defaults to `false`. */
  readonly alpha?: boolean | undefined;
  /** How long a call may take, in milliseconds. Defaults to `60_000`. */
  readonly callTimeoutMs?: number | undefined;
  /** The largest answer that is taken, in bytes. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
}

const endpoint: z.ZodType<CsiEndpoint> = z.object({
  socket: z.string().min(1),
  command: z.array(z.string()).min(1).optional(),
  env: z.record(z.string(), z.string()).optional(),
});

/** Schema of {@link CsiStorageConfig}. */
export const csiStorageConfig: z.ZodType<CsiStorageConfig> = z.object({
  name: objectName,
  endpoint,
  nodes: z
    .array(z.object({ host: objectName, endpoint: endpoint.optional() }))
    .min(1)
    .refine((nodes) => new Set(nodes.map(({ host }) => host)).size === nodes.length, "a host is named twice"),
  directory: z.string().min(1),
  parameters: z.record(z.string(), z.string()).optional(),
  allowedParameters: z.array(z.string()).optional(),
  secrets: z.record(z.string(), secretRef).optional(),
  capacityBytes: z.int().positive().optional(),
  fencing: z.enum(["detach", "none"]).optional(),
  alpha: z.boolean().optional(),
  callTimeoutMs: z.number().positive().optional(),
  maxMessageBytes: z.int().positive().optional(),
});
