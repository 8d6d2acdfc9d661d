import { VdcError } from "@vdc-os/core";
import type { Volume, VolumeTransport } from "@vdc-os/core/storage/v1";
import type { VolumeMove } from "../../kinds/volume-spec.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** The volume that another one moves to. */
export interface MoveTarget {
  readonly volumeId: string;
  /** How it is reached on the move's host. */
  readonly transport: VolumeTransport;
}

/** Creates the volume that is moved to, or finds it, and attaches it on the move's host. */
export async function ensureTarget(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
): Promise<MoveTarget> {
  const { operation, signal } = context;
  const { storage: provider, name } = move.to;
  const storage = providers.storage.get(provider);
  let { volumeId } = move.to;
  if (volumeId === undefined) {
    const source = await providers.storage
      .get(move.from.storage)
      .getVolume({ volumeId: move.from.volumeId }, operation);
    const { parameters, accessibleHosts } = object.spec;
    const intent = await context.journal.begin({
      object,
      provider: `storage/${provider}`,
      action: "create",
      externalName: name,
      signal,
    });
    const made = await storage.createVolume(
      {
        name,
        owner: context.ownerStamp,
        capacityBytes: source.capacityBytes,
        ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
        ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
      },
      operation,
    );
    ({ volumeId } = made);
    await rememberTarget(context, object, move, made);
    await context.journal.done(intent, { signal });
    if (made.capacityBytes < source.capacityBytes) {
      throw new VdcError("OUT_OF_RANGE", `storage '${provider}' made a volume of ${made.capacityBytes} bytes only`);
    }
  }
  const { host, generation } = move;
  const attachment = await storage.attachVolume({ volumeId, host, access: "readWrite", generation }, operation);
  return { volumeId, transport: attachment.transport };
}

async function rememberTarget(
  context: VolumeContext,
  object: VolumeObject,
  { to }: VolumeMove,
  { volumeId, accessibleHosts }: Volume,
): Promise<void> {
  await context.updateStatus(({ status }) => {
    if (status.move?.to.name !== to.name) {
      throw new VdcError("ABORTED", `volume '${object.metadata.name}' began another move; it is looked at again`);
    }
    const hosts = accessibleHosts === undefined ? {} : { accessibleHosts };
    return { status: { ...status, move: { ...status.move, to: { ...to, volumeId, ...hosts } } } };
  });
}
