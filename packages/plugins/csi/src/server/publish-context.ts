import { VdcError } from "@vdc-os/core";
import { type AccessMode, type Attachment, type VolumeTransport, volumeTransport } from "@vdc-os/core/storage/v1";
import type { TextMap } from "../spec/volume-messages.ts";

/** How a node reaches a volume: what the controller tells it through the orchestrator. */
export interface Reach {
  readonly transport: VolumeTransport;
  readonly access: AccessMode;
}

const transportKey = "vdc-os/transport";
const accessKey = "vdc-os/access";

/** `publish_context` of an attachment. It has no secrets: the socket's mode guards the data. */
export function toPublishContext({ transport, access }: Attachment): TextMap {
  return { [transportKey]: JSON.stringify(transport), [accessKey]: access };
}

/** What {@link toPublishContext} wrote. Throws `INVALID_ARGUMENT` for anything else: it came through others' hands. */
export function fromPublishContext(context: TextMap): Reach {
  const access = context[accessKey];
  try {
    const transport = volumeTransport.parse(JSON.parse(context[transportKey] ?? ""));
    if (access === "readWrite" || access === "readOnly") return { transport, access };
  } catch {
    // Said below.
  }
  throw new VdcError("INVALID_ARGUMENT", "'publish_context' is not what 'ControllerPublishVolume' returned");
}
