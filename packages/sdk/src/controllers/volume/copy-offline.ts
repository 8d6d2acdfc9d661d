import { VdcError } from "@vdc-os/core";
import { volumeKind, type VolumeMove } from "../../kinds/volume-spec.ts";
import { isBeingDeleted } from "../../resource/resource.ts";
import type { DatacenterProviders } from "../providers.ts";
import { showProgress } from "./move-progress.ts";
import { ensureTarget } from "./move-target.ts";
import { arrive, enter, type MoveStep } from "./move-step.ts";
import { isUnreached } from "./unreached.ts";
import { storageOf, type VolumeContext, type VolumeObject } from "./volume-object.ts";

/** How often a copy looks whether it is still wanted, in milliseconds. */
const lookMs = 500;

/** A host that can copy volumes and reaches both sides. Fails with `UNIMPLEMENTED`, and says of each host why it can't. */
export async function hostForCopy(
  context: VolumeContext,
  object: VolumeObject,
  providers: DatacenterProviders,
): Promise<string> {
  const reasons: string[] = [];
  const target = object.spec.storage ?? storageOf(object);
  for (const host of providers.compute.names()) {
    const sides = object.status.accessibleHosts?.includes(host) === false ? [storageOf(object)] : [];
    if (await isUnreached(context, providers, { storage: target, host })) sides.push(target);
    if (sides.length > 0) {
      reasons.push(`'${host}' does not reach ${sides.map((side) => `'${side}'`).join(" and ")}`);
      continue;
    }
    const facet = await providers.compute.get(host).facet("diskCopy", context.operation);
    if (facet.available) return host;
    reasons.push(`'${host}' ${facet.reason}`);
  }
  const { name } = object.metadata;
  if (reasons.length === 0) throw new VdcError("UNAVAILABLE", `volume '${name}' can't be copied: no host answers now`);
  throw new VdcError("UNIMPLEMENTED", `no host can copy volume '${name}': ${reasons.join("; ")}`);
}

/** Attaches both sides on the move's host, and has it copy one over the other. */
export async function copyOffline(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
): Promise<MoveStep> {
  const { host, generation, from } = move;
  const { operation } = context;
  const facet = await providers.compute.get(host).facet("diskCopy", operation);
  if (!facet.available) return enter("undoing");
  const target = await ensureTarget(context, object, move, providers);
  const storage = providers.storage.get(from.storage);
  const { capacityBytes } = await storage.getVolume({ volumeId: from.volumeId }, operation);
  const source = await storage.attachVolume(
    { volumeId: from.volumeId, host, access: "readOnly", generation },
    operation,
  );
  const over = new AbortController();
  const isUnwanted = watchWish(context, object, over.signal).then((unwanted) => {
    if (unwanted) over.abort(new VdcError("CANCELLED", "the volume is to stay where it is"));
    return unwanted;
  });
  try {
    await facet.operations.copyDisk(
      { source: source.transport, target: target.transport },
      {
        signal: AbortSignal.any([context.signal, over.signal]),
        tenant: operation.tenant,
        onProgress: ({ fraction = 0 }) =>
          void showProgress(context, move, { copiedBytes: fraction * capacityBytes, totalBytes: capacityBytes }).catch(
            () => undefined,
          ),
      },
    );
  } catch (error) {
    if (over.signal.aborted) return enter("undoing");
    throw error;
  } finally {
    over.abort();
    await isUnwanted;
  }
  return arrive;
}

/** Resolves when the copy is not wanted any more, with true, or when it is over, with false. */
async function watchWish(context: VolumeContext, object: VolumeObject, over: AbortSignal): Promise<boolean> {
  const { clock, store, key, signal } = context;
  while (!over.aborted && !signal.aborted) {
    await clock.sleep(lookMs, { signal: AbortSignal.any([over, signal]) }).catch(() => undefined);
    if (over.aborted || signal.aborted) return false;
    const now = await store.find(volumeKind, key, { signal }).catch(() => object);
    if (now === undefined || isBeingDeleted(now) || now.spec.storage !== object.status.move?.to.storage) return true;
  }
  return false;
}
