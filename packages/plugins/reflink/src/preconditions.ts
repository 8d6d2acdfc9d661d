import { type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import type { VolumeRecord } from "./records.ts";

/** Throws when the caller has given up. */
export function assertGoesOn(context: OperationContext): void {
  if (context.signal.aborted) throw toVdcError(context.signal.reason);
}

/** Throws `FAILED_PRECONDITION`, which names the host, while a volume is attached. */
export function assertDetached({ name, attached }: VolumeRecord): void {
  if (attached === undefined) return;
  throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached to host '${attached.host}'`, {
    blockers: [{ kind: "host", name: attached.host }],
    details: { host: attached.host },
  });
}
