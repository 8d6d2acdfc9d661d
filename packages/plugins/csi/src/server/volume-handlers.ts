import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { Volume, VolumeSource } from "@vdc-os/core/storage/v1";
import type { Sparse } from "../grpc/message.ts";
import type { CreateVolumeRequest, ListVolumesRequest, ListVolumesResponse } from "../spec/controller-messages.ts";
import type { ContentSource, CsiVolume } from "../spec/volume-messages.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import {
  allowedSizes,
  isPossibleId,
  providerName,
  required,
  requiredCapabilities,
  requiredId,
} from "./require-fields.ts";

/** The size of a volume when the request names none. */
const defaultBytes = 1024 ** 3;

/** Sizes are multiples of this: what a data path over NBD and FUSE can be read and written in. */
const sizeUnit = 4096;

/** How many entries an answer has at most, so that it stays below the size of a message. */
const maxEntries = 2_000;

/** `CreateVolume`: empty, or with the content of a volume or a snapshot. Idempotent by name for every range that the volume fits. */
export async function createVolume(
  calls: ProviderCalls,
  request: CreateVolumeRequest,
  context: OperationContext,
): Promise<Sparse<CsiVolume>> {
  const name = providerName(required(request.name, "name"));
  requiredCapabilities(request.volumeCapabilities);
  const sizes = allowedSizes(request.capacityRange);
  if (request.accessibilityRequirements !== undefined) {
    throw new VdcError("INVALID_ARGUMENT", "'accessibility_requirements' are not supported by this driver");
  }
  if (Object.keys(request.mutableParameters).length > 0) {
    throw new VdcError("INVALID_ARGUMENT", "'mutable_parameters' are not supported by this driver");
  }
  const source = sourceOf(request.contentSource);
  const sourceBytes = source === undefined ? 0 : await sizeOf(calls, source, context);
  const wanted = chooseSize({ ...sizes, atLeast: Math.max(sizes.atLeast, sourceBytes) });
  const parameters = parametersOf(request);
  const make = (capacityBytes: number): Promise<Volume> =>
    source === undefined
      ? calls.provider.createVolume({ name, capacityBytes, parameters }, context)
      : clone(calls, { name, source, capacityBytes }, parameters, context);

  const [present] = (await calls.provider.listVolumes({ name }, context)).items;
  if (present === undefined) return toCsi(await make(wanted), source);
  if (present.capacityBytes < sizes.atLeast || present.capacityBytes > sizes.atMost) {
    throw new VdcError("ALREADY_EXISTS", `volume '${request.name}' exists with ${present.capacityBytes} bytes`);
  }
  // The provider knows what the volume was made with, and compares it. The size then was one of these.
  const volume = await make(present.capacityBytes).catch((error: unknown) => {
    if (isVdcError(error, "ALREADY_EXISTS") && wanted !== present.capacityBytes) return make(wanted);
    throw error;
  });
  return toCsi(volume, source);
}

/** `DeleteVolume`. */
export async function deleteVolume(calls: ProviderCalls, volumeId: string, context: OperationContext): Promise<void> {
  if (!isPossibleId(required(volumeId, "volume_id"))) return;
  await calls.provider.deleteVolume({ volumeId }, context);
}

/** `ListVolumes`. The tokens are the provider's, so that an unknown one is `ABORTED`. */
export async function listVolumes(
  calls: ProviderCalls,
  { maxEntries: asked, startingToken }: ListVolumesRequest,
  context: OperationContext,
): Promise<Sparse<ListVolumesResponse>> {
  const { items, nextToken } = await collect({ asked, startingToken }, (page) =>
    calls.provider.listVolumes(page, context),
  );
  const entries = [];
  for (const volume of items) {
    // One that was deleted meanwhile is published nowhere.
    const attachment = await calls.attachment(volume.volumeId, context).catch(() => undefined);
    entries.push({
      volume: toCsi(volume),
      status: { publishedNodeIds: attachment === undefined ? [] : [attachment.host] },
    });
  }
  return { entries, nextToken };
}

/** `ControllerExpandVolume`: a volume that is published nowhere. */
export async function expandVolume(
  calls: ProviderCalls,
  request: { readonly volumeId: string; readonly capacityRange: CreateVolumeRequest["capacityRange"] },
  context: OperationContext,
): Promise<number> {
  const volumeId = requiredId(request.volumeId, "volume_id");
  if (request.capacityRange === undefined) throw new VdcError("INVALID_ARGUMENT", "'capacity_range' is required");
  const sizes = allowedSizes(request.capacityRange);
  const resize = await calls.facet("resize", context);
  const { capacityBytes } = await calls.volume(volumeId, context);
  if (capacityBytes >= sizes.atLeast) {
    if (capacityBytes <= sizes.atMost) return capacityBytes;
    throw new VdcError("OUT_OF_RANGE", `the volume has ${capacityBytes} bytes already, and does not shrink`);
  }
  const attachment = await calls.attachment(volumeId, context);
  if (attachment !== undefined) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `the volume is published on node '${attachment.host}': unpublish it first`,
    );
  }
  return (await resize.resizeVolume({ volumeId, capacityBytes: chooseSize(sizes) }, context)).capacityBytes;
}

/** A page of the provider's, or as many pages as make up the one that was asked for. */
export async function collect<Item>(
  { asked, startingToken }: { readonly asked: number; readonly startingToken: string },
  list: (page: { readonly limit: number; readonly pageToken?: string }) => Promise<{
    readonly items: readonly Item[];
    readonly nextPageToken?: string;
  }>,
): Promise<{ readonly items: readonly Item[]; readonly nextToken: string }> {
  if (asked < 0) throw new VdcError("INVALID_ARGUMENT", "'max_entries' must not be negative");
  const wanted = Math.min(asked === 0 ? maxEntries : asked, maxEntries);
  const items: Item[] = [];
  let token = startingToken;
  do {
    const limit = Math.min(1_000, wanted - items.length);
    const page = await list(token === "" ? { limit } : { limit, pageToken: token.slice(0, 1_024) });
    items.push(...page.items);
    token = page.nextPageToken ?? "";
  } while (token !== "" && items.length < wanted);
  return { items, nextToken: token };
}

function sourceOf(source: ContentSource | undefined): VolumeSource | undefined {
  if (source === undefined) return undefined;
  if (source.snapshot !== undefined) {
    return { kind: "snapshot", snapshotId: requiredId(source.snapshot.snapshotId, "snapshot_id") };
  }
  if (source.volume !== undefined) {
    return { kind: "volume", volumeId: requiredId(source.volume.volumeId, "volume_id") };
  }
  throw new VdcError("INVALID_ARGUMENT", "'volume_content_source' names neither a volume nor a snapshot");
}

async function sizeOf(calls: ProviderCalls, source: VolumeSource, context: OperationContext): Promise<number> {
  if (source.kind === "volume") return (await calls.volume(source.volumeId, context)).capacityBytes;
  const snapshots = await calls.facet("snapshots", context);
  return (await snapshots.getSnapshot({ snapshotId: source.snapshotId }, context)).capacityBytes;
}

function chooseSize({ atLeast, atMost }: { readonly atLeast: number; readonly atMost: number }): number {
  const least = atLeast === 0 ? Math.min(defaultBytes, atMost) : atLeast;
  const rounded = Math.ceil(least / sizeUnit) * sizeUnit;
  if (rounded <= atMost) return rounded;
  // Without a size that must be reached, the largest multiple below the limit will do.
  if (atLeast === 0 && atMost >= sizeUnit) return Math.floor(atMost / sizeUnit) * sizeUnit;
  throw new VdcError("OUT_OF_RANGE", `no multiple of ${sizeUnit} is at least ${atLeast} and at most ${atMost} bytes`);
}

/** A volume of its own: CSI's clones never make their source read-only. */
async function clone(
  calls: ProviderCalls,
  input: { readonly name: string; readonly source: VolumeSource; readonly capacityBytes: number },
  parameters: Readonly<Record<string, string>>,
  context: OperationContext,
): Promise<Volume> {
  const [parameter] = Object.keys(parameters);
  if (parameter !== undefined) {
    throw new VdcError("INVALID_ARGUMENT", `a volume with a source takes no parameters, such as '${parameter}'`);
  }
  const clones = await calls.facet("clones", context);
  return (await clones.cloneVolume({ ...input, want: "full" }, context)).volume;
}

/** Orchestrators add facts of their own under this prefix, which are no parameters of the provider's. */
function parametersOf({ parameters }: CreateVolumeRequest): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(parameters).filter(([key]) => !key.startsWith("csi.storage.k8s.io/")));
}

/** A volume as CSI has it. */
export function toCsi(volume: Volume, source: VolumeSource | undefined = volume.parent): Sparse<CsiVolume> {
  const { volumeId, capacityBytes } = volume;
  if (source === undefined) return { volumeId, capacityBytes };
  const contentSource: Sparse<ContentSource> =
    source.kind === "volume"
      ? { volume: { volumeId: source.volumeId } }
      : { snapshot: { snapshotId: source.snapshotId } };
  return { volumeId, capacityBytes, contentSource };
}
