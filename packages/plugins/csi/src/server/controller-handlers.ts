import { type OperationContext, VdcError } from "@vdc-os/core";
import { type GrpcCall, type GrpcHandler, handler } from "../grpc/grpc-server.ts";
import type { ControllerPublishRequest, VolumeEntry } from "../spec/controller-messages.ts";
import { controller, controllerRpcs } from "../spec/controller-service.ts";
import type { Sparse } from "../grpc/message.ts";
import type { TextMap } from "../spec/volume-messages.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import { toPublishContext } from "./publish-context.ts";
import { accessOf, isPossibleId, required, requiredCapability, requiredId, unsupported } from "./require-fields.ts";
import { createSnapshot, deleteSnapshot, listSnapshots } from "./snapshot-handlers.ts";
import { createVolume, deleteVolume, expandVolume, listVolumes, toCsi } from "./volume-handlers.ts";

/** Options of {@link controllerHandlers}. */
export interface ControllerOptions {
  readonly calls: ProviderCalls;
  /** The ids of the nodes that volumes can be published on. */
  readonly nodeIds: readonly string[];
  /** Whether alpha parts of the specification are offered. */
  readonly alpha: boolean;
  /** An attachment generation that is higher than any before. */
  readonly nextGeneration: () => number;
}

/** Service Controller, over a storage provider. */
export function controllerHandlers(options: ControllerOptions): readonly GrpcHandler[] {
  const { calls } = options;
  const context = (call: GrpcCall): OperationContext => calls.context(call);
  return [
    handler(controller.getCapabilities, async (_request, call) => ({
      capabilities: (await capabilities(options, context(call))).map((type) => ({ rpc: { type } })),
    })),
    handler(controller.createVolume, async (request, call) => ({
      volume: await createVolume(calls, request, context(call)),
    })),
    handler(controller.deleteVolume, async ({ volumeId }, call) => {
      await deleteVolume(calls, volumeId, context(call));
      return {};
    }),
    handler(controller.listVolumes, (request, call) => listVolumes(calls, request, context(call))),
    handler(controller.getVolume, (request, call) => getVolume(options, request.volumeId, context(call))),
    handler(controller.expandVolume, async (request, call) => ({
      capacityBytes: await expandVolume(calls, request, context(call)),
    })),
    handler(controller.getCapacity, async (request, call) => {
      const { totalBytes, freeBytes, reservedBytes, provisionedBytes, maxOverSubscription } =
        await calls.provider.capacity({}, context(call));
      if (request.volumeCapabilities.some((capability) => unsupported(capability) !== undefined)) return {};
      // What can still be promised. A full pool has nothing to promise, however far it may be over-subscribed.
      const promisable = Math.floor((totalBytes - reservedBytes) * maxOverSubscription) - provisionedBytes;
      return { availableCapacity: freeBytes === 0 ? 0 : Math.max(0, promisable) };
    }),
    handler(controller.validateVolumeCapabilities, async (request, call) => {
      const volumeId = requiredId(request.volumeId, "volume_id");
      const { volumeCapabilities, volumeContext, parameters } = request;
      if (volumeCapabilities.length === 0) {
        throw new VdcError("INVALID_ARGUMENT", "'volume_capabilities' is required");
      }
      await calls.volume(volumeId, context(call));
      const reasons = volumeCapabilities.flatMap((capability) => unsupported(capability) ?? []);
      if (reasons.length > 0) return { message: reasons.join("; ") };
      return { confirmed: { volumeCapabilities, volumeContext, parameters } };
    }),
    handler(controller.publishVolume, async (request, call) => ({
      publishContext: await publish(options, request, context(call)),
    })),
    handler(controller.unpublishVolume, async ({ volumeId, nodeId }, call) => {
      if (!isPossibleId(required(volumeId, "volume_id"))) return {};
      await unpublish(calls, { volumeId, nodeId }, context(call));
      return {};
    }),
    handler(controller.createSnapshot, async (request, call) => ({
      snapshot: await createSnapshot(calls, request, context(call)),
    })),
    handler(controller.deleteSnapshot, async ({ snapshotId }, call) => {
      await deleteSnapshot(calls, snapshotId, context(call));
      return {};
    }),
    handler(controller.listSnapshots, (request, call) => listSnapshots(calls, request, context(call))),
  ];
}

async function capabilities({ calls, alpha }: ControllerOptions, context: OperationContext): Promise<number[]> {
  const rpcs = controllerRpcs;
  const offered: number[] = [
    rpcs.createDeleteVolume,
    rpcs.publishUnpublishVolume,
    rpcs.publishReadonly,
    rpcs.listVolumes,
    rpcs.listVolumesPublishedNodes,
    rpcs.getCapacity,
  ];
  if (await calls.hasFacet("resize", context)) offered.push(rpcs.expandVolume);
  if (await calls.hasFacet("clones", context)) offered.push(rpcs.cloneVolume);
  if (await calls.hasSnapshots(context)) offered.push(rpcs.createDeleteSnapshot, rpcs.listSnapshots);
  if (alpha) offered.push(rpcs.getVolume, rpcs.volumeCondition);
  return offered;
}

async function getVolume(
  { calls, alpha }: ControllerOptions,
  id: string,
  context: OperationContext,
): Promise<Sparse<VolumeEntry>> {
  if (!alpha) throw new VdcError("UNIMPLEMENTED", "alpha parts of the specification are not offered");
  const volumeId = requiredId(id, "volume_id");
  const volume = await calls.volume(volumeId, context);
  const attachment = await calls.attachment(volumeId, context);
  const { condition, message } = await calls.provider.health({ volumeId }, context);
  return {
    volume: toCsi(volume),
    status: {
      publishedNodeIds: attachment === undefined ? [] : [attachment.host],
      volumeCondition: { abnormal: condition !== "healthy", message },
    },
  };
}

/** `ControllerPublishVolume`: attaches the volume. Each publication is a new owner, so it has a higher generation than any before. */
async function publish(
  { calls, nodeIds, nextGeneration }: ControllerOptions,
  request: ControllerPublishRequest,
  context: OperationContext,
): Promise<TextMap> {
  const volumeId = requiredId(request.volumeId, "volume_id");
  const host = required(request.nodeId, "node_id");
  const access = accessOf(requiredCapability(request.volumeCapability), request.readonly);
  const present = await calls.attachment(volumeId, context);
  if (!nodeIds.includes(host)) throw new VdcError("NOT_FOUND", `there is no node '${host}'`);
  if (present === undefined) {
    return toPublishContext(
      await calls.provider.attachVolume({ volumeId, host, access, generation: nextGeneration() }, context),
    );
  }
  if (present.host !== host) {
    throw new VdcError("FAILED_PRECONDITION", `the volume is published on node '${present.host}'`, {
      blockers: [{ kind: "Host", name: present.host }],
    });
  }
  if (present.access !== access) {
    throw new VdcError("ALREADY_EXISTS", `the volume is published on node '${host}' as '${present.access}'`);
  }
  // Repeated in its generation, so that the provider makes sure that it is served.
  const { generation } = present;
  return toPublishContext(await calls.provider.attachVolume({ volumeId, host, access, generation }, context));
}

/** `ControllerUnpublishVolume`: of one node, or of all. */
async function unpublish(
  calls: ProviderCalls,
  { volumeId, nodeId }: { readonly volumeId: string; readonly nodeId: string },
  context: OperationContext,
): Promise<void> {
  const [attachment] = await calls.attachment(volumeId, context).then(
    (found) => [found],
    (error: { readonly code?: unknown }) => {
      // What is absent is published nowhere.
      if (error.code === "NOT_FOUND") return [undefined];
      throw error;
    },
  );
  if (attachment === undefined || (nodeId !== "" && attachment.host !== nodeId)) return;
  const { host, generation } = attachment;
  await calls.provider.detachVolume({ volumeId, host, generation }, context);
}
