/**
 * Storage VMotion: a volume whose `spec.storage` names another provider than the one that it is on moves there, while its VM writes to it, or by a copy
 * when no VM has it. `status.move` says how far it is; each step can be repeated, and the next manager goes on from where a killed one was.
 *
 * - `copying`: the source is the volume. What was made of the target may be undone.
 * - `switching`: the hypervisor was perhaps asked to switch. Only it knows, so that nobody attaches or lets go of the volume until it has answered.
 * - `leaving`: the target is the volume; the source is detached and deleted.
 * - `undoing`: the source is the volume; the target is detached and deleted.
 */
import { isVdcError, toVdcError, VdcError } from "@vdc-os/core";
import type { ReconcileResult } from "../../controller/define-controller.ts";
import { externalNameOf } from "../../journal/external-name.ts";
import type { VolumeMove, VolumeStatus } from "../../kinds/volume-spec.ts";
import { failedCondition, isConditionTrue } from "../../resource/condition.ts";
import { isBeingDeleted } from "../../resource/resource.ts";
import type { DatacenterProviders, StorageHandle } from "../providers.ts";
import { isTerminal } from "../reconcile-failure.ts";
import { settleIntents } from "../settle-intents.ts";
import { copyOffline, hostForCopy } from "./copy-offline.ts";
import { cancelOnline, copyOnline, findMovableDisk, resolveSwitch } from "./copy-online.ts";
import { beginMove, enter, giveUp, type MoveStep, waitFor } from "./move-step.ts";
import { isUnreached } from "./unreached.ts";
import { isAskedElsewhere, storageOf, type VolumeContext, type VolumeObject } from "./volume-object.ts";

/** What {@link moveVolume} came to: the volume, where it is asked to be; or what to do until then. */
export type Moved = { readonly object: VolumeObject } | { readonly wait: ReconcileResult };

/** Moves a volume as far as it can be now. */
export async function moveVolume(
  context: VolumeContext,
  volume: VolumeObject,
  providers: DatacenterProviders,
): Promise<Moved> {
  for (let object = volume; ; ) {
    const { move } = object.status;
    if (move === undefined && !isToMove(object)) return { object };
    const step =
      move === undefined ? await begin(context, object, providers) : await goOn(context, object, move, providers);
    if ("wait" in step) return step;
    // A step is taken from what it was decided on, and from nothing else.
    const seen = object.status;
    object = await context.updateStatus(({ status }) => {
      mustBeAsSeen(status, seen, object.metadata.name);
      const { conditions } = step;
      return { status: step.status(status), ...(conditions === undefined ? {} : { conditions }) };
    });
  }
}

/** Whether a volume is to go elsewhere. */
function isToMove(object: VolumeObject): boolean {
  return object.status.volumeId !== undefined && !isBeingDeleted(object) && isAskedElsewhere(object);
}

async function goOn(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
): Promise<MoveStep> {
  const isWanted = !isBeingDeleted(object) && object.spec.storage === move.to.storage;
  switch (move.phase) {
    case "copying":
      if (!isWanted || !isOwnedAsBegun(object.status, move)) return enter("undoing");
      try {
        return await (move.online === undefined ? copyOffline : copyOnline)(context, object, move, providers);
      } catch (error) {
        // The source was not touched: what can't be had is undone, and said.
        const failure = toVdcError(error);
        if (isTerminal(failure)) return giveUp(context, move, failure);
        throw failure;
      }
    case "switching":
      return resolveSwitch(context, object, move, providers, isWanted);
    case "undoing":
      await cancelOnline(context, object, move, providers);
      await letGo(context, providers, move, "to");
      if (move.online === undefined) await detach(context, providers, move, "from");
      break;
    case "leaving":
      if (move.online === undefined) await detach(context, providers, move, "to");
      await letGo(context, providers, move, "from");
      break;
  }
  await settleIntents(context, object);
  return { status: ({ move: _, ...status }) => status };
}

/** Chooses how to move, and puts that on record. */
async function begin(context: VolumeContext, object: VolumeObject, providers: DatacenterProviders): Promise<MoveStep> {
  const { spec, status, conditions, metadata } = object;
  // One that has failed is tried again when somebody asks for it again.
  if (isConditionTrue(conditions, failedCondition, metadata.generation)) return { wait: {} };
  const from = { storage: storageOf(object), volumeId: status.volumeId ?? "" };
  const moves = (status.moves ?? 0) + 1;
  // A name of its own for each move: one provider may keep its volumes in another, and what was deleted may come back under no name.
  const to = { storage: spec.storage ?? from.storage, name: externalNameOf(object, `m${moves}`) };
  // Fails with `NOT_FOUND` before anything is done.
  providers.storage.get(to.storage);
  await mustHaveNoSnapshots(context, object, providers);
  const common = { phase: "copying", from, to } as const;
  const { attachedTo } = status;
  if (attachedTo === undefined) {
    const generation = (status.generation ?? 0) + 1;
    const host = await hostForCopy(context, object, providers);
    return beginMove((now) => ({ ...now, moves, generation, move: { ...common, host, generation } }));
  }
  if (await isUnreached(context, providers, { storage: to.storage, host: attachedTo.host })) {
    throw new VdcError(
      "UNIMPLEMENTED",
      `storage '${to.storage}' isn't reached by host '${attachedTo.host}', where VM '${attachedTo.vm}' has volume '${metadata.name}'`,
    );
  }
  const disk = await findMovableDisk(context, object, providers, attachedTo);
  if ("waitsFor" in disk) return waitFor(context, disk.waitsFor);
  const { host, generation } = attachedTo;
  return beginMove((now) => ({ ...now, moves, move: { ...common, host, generation, online: disk } }));
}

async function mustHaveNoSnapshots(
  context: VolumeContext,
  object: VolumeObject,
  providers: DatacenterProviders,
): Promise<void> {
  const { volumeId } = object.status;
  const name = storageOf(object);
  if (volumeId === undefined) return;
  const snapshots = await providers.storage.get(name).facet("snapshots", context.operation);
  if (!snapshots.available) return;
  const { items } = await snapshots.operations.listSnapshots({ volumeId, limit: 1 }, context.operation);
  const [first] = items;
  if (first === undefined) return;
  throw new VdcError(
    "UNIMPLEMENTED",
    `volume '${object.metadata.name}' has snapshots on storage '${name}', which would not move with it: delete them first`,
    { blockers: [{ kind: "snapshot", name: first.name }] },
  );
}

/** Whether the volume has the owner with which its move began. */
function isOwnedAsBegun({ attachedTo }: VolumeStatus, move: VolumeMove): boolean {
  if (move.online === undefined) return attachedTo === undefined;
  const { vm, host, generation } = attachedTo ?? {};
  return vm === move.online.vm && host === move.host && generation === move.generation;
}

function mustBeAsSeen(now: VolumeStatus, seen: VolumeStatus, name: string): void {
  const owner = (status: VolumeStatus): string => JSON.stringify(status.attachedTo ?? {});
  const same = now.move?.phase === seen.move?.phase && now.moves === seen.moves && owner(now) === owner(seen);
  if (!same)
    throw new VdcError("ABORTED", `volume '${name}' changed hands while it was being moved; it is looked at again`);
}

async function detach(
  context: VolumeContext,
  providers: DatacenterProviders,
  move: VolumeMove,
  side: "from" | "to",
): Promise<void> {
  const { storage, volumeId } = move[side];
  if (volumeId === undefined) return;
  const { host, generation } = move;
  await providers.storage.get(storage).detachVolume({ volumeId, host, generation }, context.operation);
}

/** Detaches and deletes one side. */
async function letGo(
  context: VolumeContext,
  providers: DatacenterProviders,
  move: VolumeMove,
  side: "from" | "to",
): Promise<void> {
  const storage = providers.storage.get(move[side].storage);
  const volumeId = move[side].volumeId ?? (await findByName(context, storage, move.to.name));
  if (volumeId === undefined) return;
  try {
    await storage.detachVolume({ volumeId, host: move.host, generation: move.generation }, context.operation);
  } catch (error) {
    if (!isVdcError(error, "NOT_FOUND")) throw error;
  }
  await storage.deleteVolume({ volumeId }, context.operation);
}

async function findByName(context: VolumeContext, storage: StorageHandle, name: string): Promise<string | undefined> {
  const { items } = await storage.listVolumes({ name, limit: 1 }, context.operation);
  return items[0]?.volumeId;
}
