import { isVdcError, VdcError } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";
import {
  type Controller,
  defineController,
  type ReconcileResult,
  watchKind,
  watchOwned,
} from "../controller/define-controller.ts";
import { imageKind } from "../kinds/image-spec.ts";
import { switchKind } from "../kinds/switch-spec.ts";
import { virtualMachineFinalizer, virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import { volumeKind, type VolumeSpec, type VolumeStatus } from "../kinds/volume-spec.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import { PortGate } from "./port-gate.ts";
import type { DatacenterProviders } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { decideRestart } from "../decisions/decide-restart.ts";
import { settleIntents } from "./settle-intents.ts";
import { chooseHost, type RecentPlacements } from "./virtual-machine/choose-host.ts";
import { ensureVolumes, removeOwnedVolumes } from "./virtual-machine/disks.ts";
import { attachAll, nicsOf, releaseAll } from "./virtual-machine/attachments.ts";
import { findVm, removeVm, startVm, stopVm } from "./virtual-machine/power.ts";
import type { VmContext, VmObject } from "./virtual-machine/vm-object.ts";

/** How long a VM waits for what it depends on before it looks again, in milliseconds. What it watches wakes it sooner. */
const waitMs = 500;

/** How long a VM waits for its host, in milliseconds. The host's return wakes it sooner. */
const awayMs = 10_000;

/**
 * Keeps VMs as they are asked for. Each step looks at what is and does the next thing that is missing: volumes, a host, a generation,
 * attachments, the definition, power. The generation is on record before anything is attached with it, so that a VM that is started again
 * shuts its former self out of disks and ports.
 */
export function virtualMachineController(providers: DatacenterProviders, gate: PortGate = new PortGate()): Controller {
  const recent: RecentPlacements = new Map();
  return defineController({
    kind: virtualMachineKind,
    concurrency: 8,
    backoffMaxMs: 10_000,
    watches: [
      watchOwned(volumeKind, virtualMachineKind),
      watchKind(imageKind, (image, cache) =>
        cache
          .list(virtualMachineKind)
          .filter((vm) => vm.spec.image === image.metadata.name)
          .map(({ metadata: { tenant, name } }) => ({ tenant, name })),
      ),
      watchKind(switchKind, (network, cache) =>
        cache
          .list(virtualMachineKind)
          .filter((vm) => vm.spec.nics.some((nic) => nic.switch === network.metadata.name))
          .map(({ metadata: { tenant, name } }) => ({ tenant, name })),
      ),
    ],
    async reconcile(context) {
      const { object } = context;
      if (object === undefined) return;
      if (isBeingDeleted(object)) return remove(context, object, providers);
      return orFail(() =>
        object.spec.power === "on"
          ? powerOn(context, object, providers, { recent, gate })
          : powerOff(context, object, providers),
      );
    },
  });
}

async function powerOn(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  { recent, gate }: { readonly recent: RecentPlacements; readonly gate: PortGate },
): Promise<ReconcileResult | undefined> {
  const { host: placedOn, generation: present, placement = "" } = object.status;
  if (placedOn !== undefined && !providers.compute.has(placedOn)) return away(context, placedOn);
  let found = placedOn === undefined ? undefined : await findVm(context, object, providers, placedOn);
  // One that runs needs nothing of what it was started from.
  if (placedOn !== undefined && found !== undefined && isUp(found) && found.generation === present) {
    await settleIntents(context, object);
    return report(context, object, found, placedOn);
  }
  if (found !== undefined && found.generation !== undefined && found.generation === present) {
    const pause = await pauseAfterEnd(context, object, found);
    if (pause !== undefined) return pause;
  }

  const image = await context.store.find(
    imageKind,
    { tenant: object.metadata.tenant, name: object.spec.image },
    { signal: context.signal },
  );
  if (image === undefined)
    throw new VdcError("NOT_FOUND", `image '${object.spec.image}' of VM '${object.metadata.name}' does not exist`);
  if (!isConditionTrue(image.conditions, readyCondition, 1))
    return wait(context, "WaitsForImage", `image '${object.spec.image}' is not ready`);
  context.progress({ fraction: 0.1, message: "preparing disks" });
  const volumes = await ensureVolumes(context, object, image.spec);
  if (volumes.waitsFor !== undefined) return wait(context, "WaitsForVolumes", volumes.waitsFor);

  const host =
    placedOn === undefined
      ? await chooseHost(context, object, providers, { recent, volumes: volumes.volumes })
      : { name: placedOn, reason: placement };
  found ??= await findVm(context, object, providers, host);
  // A start that was begun goes on with its generation; a VM that has run with it gets a new one.
  const generation =
    placedOn === undefined || present === undefined || found?.generation === present
      ? nextGeneration(object, volumes.volumes)
      : present;
  const placed = await context.updateStatus(({ status: { restartAfter: _, ...status } }) => ({
    status: { ...status, host: host.name, placement: host.reason, generation, disks: volumes.disks },
  }));
  context.progress({ fraction: 0.4, message: `attaching disks and ports on host '${host.name}'` });
  const attachments = await attachAll(context, placed, providers, { volumes: volumes.volumes, gate });
  if (attachments.waitsFor !== undefined) return wait(context, "WaitsForNetwork", attachments.waitsFor);
  context.progress({ fraction: 0.7, message: "starting" });
  const vm = await startVm(context, placed, providers, { image: image.spec, attachments, found });
  return report(context, object, vm, host.name);
}

/** A VM that ended soon after its start waits before the next one. `undefined` when it need not wait any longer. */
async function pauseAfterEnd(context: VmContext, object: VmObject, found: Vm): Promise<ReconcileResult | undefined> {
  const { startedAt, quickEnds = 0, restartAfter } = object.status;
  const decision = decideRestart({ startedAt, quickEnds, restartAfter }, context.clock.now());
  const how = found.detail === undefined || found.detail === "" ? `it is ${found.state}` : found.detail;
  await context.updateStatus(({ status }) => ({
    status: {
      ...status,
      state: found.state,
      quickEnds: decision.quickEnds,
      ...(decision.start ? {} : { restartAfter: decision.restartAfter }),
    },
    conditions: [{ type: readyCondition, status: "False", reason: "Ended", message: how }],
  }));
  return decision.start ? undefined : { requeueAfterMs: decision.waitMs };
}

/** Higher than any that the VM, or one of its volumes, had before: the VM's revision rises with each write of a generation into its status. */
function nextGeneration(object: VmObject, volumes: readonly Resource<VolumeSpec, VolumeStatus>[]): number {
  return Math.max(object.metadata.revision, ...volumes.map(({ status }) => (status.generation ?? 0) + 1));
}

function isUp({ state }: Vm): boolean {
  return state === "running" || state === "starting" || state === "paused";
}

async function wait(context: VmContext, reason: string, message: string): Promise<ReconcileResult> {
  await context.updateStatus({ conditions: [{ type: readyCondition, status: "False", reason, message }] });
  return { requeueAfterMs: waitMs };
}

/** Whether it runs can't be known while its host is away. It is not started elsewhere: it may run. */
async function away(context: VmContext, host: string): Promise<ReconcileResult> {
  const message = `host '${host}' does not answer now`;
  await context.updateStatus({
    conditions: [{ type: readyCondition, status: "Unknown", reason: "HostDisconnected", message }],
  });
  return { requeueAfterMs: awayMs };
}

async function report(context: VmContext, object: VmObject, vm: Vm, host: string): Promise<undefined> {
  await context.updateStatus((present) => ({
    status: {
      ...present.status,
      host,
      vmId: vm.vmId,
      state: vm.state,
      ...(vm.startedAt === undefined ? {} : { startedAt: vm.startedAt }),
      nics: nicsOf(object),
    },
    conditions: [{ type: readyCondition, status: "True", reason: "Running", message: vm.detail ?? "" }],
  }));
  return undefined;
}

async function powerOff(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  await stopVm(context, object, providers, "guest");
  await releaseAll(context, object, providers);
  await settleIntents(context, object);
  // What was released does not come back: the next start takes a generation of its own, also when this one never ran.
  await context.updateStatus(({ status: { generation: _, ...status } }) => ({
    status: { ...status, state: "off" },
    conditions: [{ type: readyCondition, status: "True", reason: "Off" }],
  }));
  return undefined;
}

async function remove(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  await stopVm(context, object, providers, "hard");
  await releaseAll(context, object, providers);
  await removeVm(context, object, providers);
  if (!(await removeOwnedVolumes(context, object))) return { requeueAfterMs: waitMs };
  try {
    await context.removeFinalizer(virtualMachineFinalizer);
  } catch (error) {
    if (!isVdcError(error, "NOT_FOUND")) throw error;
  }
  return undefined;
}
