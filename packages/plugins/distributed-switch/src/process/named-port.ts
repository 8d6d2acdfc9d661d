import { type Json, VdcError } from "@vdc-os/core";
import { attachmentKey, type HostConfig, type HostPort } from "./host-config.ts";

/** The port that a call names by its `id`. Throws `NOT_FOUND`. */
export function portNamed(config: HostConfig | undefined, params: Json): HostPort {
  const { id } = params as { id: string };
  for (const { ports } of config?.switches ?? []) {
    const port = ports.find((each) => each.id === id);
    if (port !== undefined) return port;
  }
  throw new VdcError("NOT_FOUND", `there is no port '${id}' on this host`);
}

/** The port that a call names, for a call of its owner alone. Throws `FAILED_PRECONDITION` for another one. */
export function ownedPort(config: HostConfig | undefined, params: Json): HostPort {
  const port = portNamed(config, params);
  const { generation } = params as { generation: number };
  if (generation === port.generation) return port;
  throw new VdcError(
    "FAILED_PRECONDITION",
    `port '${port.id}' belongs to generation ${port.generation}, and the call is of ${generation}`,
    { reason: "VDC_FENCED" },
  );
}

/** The key in the data plane of the attachment that a call names. */
export function attachmentNamed(params: Json): string {
  return attachmentKey(params as { id: string; attachment: number });
}
