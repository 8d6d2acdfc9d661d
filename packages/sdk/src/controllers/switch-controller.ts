import { isVdcError, VdcError } from "@vdc-os/core";
import { buildSwitchSpec, type BuiltSwitchSpec } from "../decisions/build-switch-spec.ts";
import { type Controller, defineController, type ReconcileResult, watchKind } from "../controller/define-controller.ts";
import { switchFinalizer, switchKind } from "../kinds/switch-spec.ts";
import { virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted } from "../resource/resource.ts";
import { PortGate } from "./port-gate.ts";
import type { DatacenterProviders } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { collectPorts } from "./switch/collect-ports.ts";
import { reportSwitch } from "./switch/report-switch.ts";
import { settleTrial } from "./switch/settle-trial.ts";
import {
  digestOf,
  type NetworkHandle,
  nextProviderGeneration,
  type SwitchContext,
  type SwitchObject,
} from "./switch/switch-object.ts";
import { type VmPort, vmPortsOf } from "./switch/vm-ports.ts";

/** How often the status is read until every member has realised the spec, in milliseconds. */
const pollMs = 150;

/** How long after a trial's end it is looked what became of it, in milliseconds. */
const afterTrialMs = 500;

/**
 * Hands each switch's whole desired state to its provider, and waits until it is realised. What the provider gets has a generation of its own, which is on record
 * before the provider hears of it: it rises with the object's, and when a mirror's VM has another port. Ports that no VM has any more are disconnected.
 */
export function switchController(providers: DatacenterProviders, gate: PortGate = new PortGate()): Controller {
  return defineController({
    kind: switchKind,
    resyncIntervalMs: 10_000,
    watches: [
      watchKind(virtualMachineKind, ({ metadata: { tenant, name: vm } }, cache) =>
        cache
          .list(switchKind, { tenant })
          .filter(({ spec }) => mirroredVms(spec).has(vm))
          .map(({ metadata: { name } }) => ({ tenant, name })),
      ),
    ],
    async reconcile(context) {
      const { object } = context;
      if (object === undefined) return;
      if (isBeingDeleted(object)) return remove(context, object, providers);
      return orFail(() => ensure(context, object, { network: providers.network.get(object.spec.network), gate }));
    },
  });
}

function mirroredVms({ mirrors = [] }: SwitchObject["spec"]): ReadonlySet<string> {
  const ports = mirrors.flatMap(({ sources, destination }) =>
    destination.kind === "port" ? [...sources, destination.port] : sources,
  );
  return new Set(ports.flatMap((port) => ("vm" in port ? [port.vm] : [])));
}

interface Tools {
  readonly network: NetworkHandle;
  readonly gate: PortGate;
}

async function ensure(
  context: SwitchContext,
  object: SwitchObject,
  tools: Tools,
): Promise<ReconcileResult | undefined> {
  const { network } = tools;
  const { tenant, name } = object.metadata;
  const vmPorts = vmPortsOf(context.cache.list(virtualMachineKind, { tenant }), name);
  const { trial } = object.status;
  if (trial !== undefined) {
    if (trial.specGeneration === object.metadata.generation && trial.decision === undefined) {
      const left = trial.deadline + afterTrialMs - context.clock.now();
      // What is on trial is left alone: the next spec that is applied would confirm it.
      if (left > 0) {
        const { members } = await network.switchStatus({ switchId: object.metadata.uid }, context.operation);
        await context.updateStatus(({ status }) => ({ status: { ...status, members } }));
        return { requeueAfterMs: Math.min(left, 1000) };
      }
    }
    const settled = trial.decision === undefined ? { ...trial, decision: "rollback" as const } : trial;
    const { store, signal } = context;
    await settleTrial(object, settled, { store, network, signal });
    return { requeueAfterMs: 0 };
  }
  const built = builtSpecOf(context, object, vmPorts);
  const asked = await claim(context, object, built);
  const { generation } = asked;
  await validate(context, object, network, built);
  try {
    await network.applySwitch({ spec: built.spec, generation }, context.operation);
  } catch (error) {
    if (!isVdcError(error, "ABORTED")) throw error;
    // The provider knows more than the state store does: a generation that was taken back, or one of a time that a restored state store has forgotten.
    const { desiredGeneration } = await network.switchStatus({ switchId: built.spec.switchId }, context.operation);
    await context.updateStatus(({ status: { specDigest: _, ...status } }) => ({
      status: { ...status, highestGeneration: Math.max(desiredGeneration, generation) },
    }));
    throw error;
  }
  const live = await network.switchStatus({ switchId: built.spec.switchId }, context.operation);
  const report = reportSwitch({
    generation,
    live,
    vmPorts,
    mirrors: { any: (object.spec.mirrors ?? []).length > 0, unresolved: built.unresolved },
  });
  await context.updateStatus(({ status }) => ({
    status: { ...status, ...report.status },
    conditions: report.conditions,
  }));
  if (!report.realised) return { requeueAfterMs: pollMs };
  await collectPorts(context, object, { ...tools, status: live });
  return undefined;
}

function builtSpecOf(
  context: SwitchContext,
  { spec, metadata }: SwitchObject,
  vmPorts: ReadonlyMap<string, VmPort>,
): BuiltSwitchSpec {
  const keys = new Map([...vmPorts.values()].map(({ vm, nic, portKey }) => [`${vm}/${nic}`, portKey]));
  return buildSwitchSpec(spec, {
    switchId: metadata.uid,
    name: metadata.name,
    owner: context.ownerStamp,
    portKeyOf: ({ vm, nic }) => keys.get(`${vm}/${nic}`),
  });
}

/** Puts on record which generation stands for this very spec. */
async function claim(
  context: SwitchContext,
  object: SwitchObject,
  { spec }: BuiltSwitchSpec,
): Promise<{ readonly generation: number }> {
  const specDigest = digestOf(spec);
  const { desiredGeneration, specDigest: known, specGeneration } = object.status;
  if (desiredGeneration !== undefined && known === specDigest) {
    if (specGeneration === object.metadata.generation) return { generation: desiredGeneration };
    await context.updateStatus(({ status }) => ({ status: { ...status, specGeneration: object.metadata.generation } }));
    return { generation: desiredGeneration };
  }
  const generation = nextProviderGeneration(object);
  await context.updateStatus(({ status }) => ({
    status: {
      ...status,
      desiredGeneration: generation,
      highestGeneration: generation,
      specGeneration: object.metadata.generation,
      specDigest,
    },
  }));
  return { generation };
}

async function validate(
  context: SwitchContext,
  { spec: { network: provider }, metadata: { name } }: SwitchObject,
  network: NetworkHandle,
  { spec }: BuiltSwitchSpec,
): Promise<void> {
  const problems = await network.validateSwitch({ spec }, context.operation);
  if (problems.length === 0) return;
  const list = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
  throw new VdcError("INVALID_ARGUMENT", `network '${provider}' refuses switch '${name}': ${list}`, {
    reason: "VDC_SPEC_REFUSED",
  });
}

async function remove(
  context: SwitchContext,
  object: SwitchObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const network = providers.network.get(object.spec.network);
  try {
    await network.removeSwitch({ switchId: object.metadata.uid }, context.operation);
  } catch (error) {
    if (!isVdcError(error, "FAILED_PRECONDITION")) throw error;
    await context.updateStatus({
      conditions: [{ type: readyCondition, status: "False", reason: "InUse", message: error.message }],
    });
    return { requeueAfterMs: 500 };
  }
  await context.removeFinalizer(switchFinalizer);
  return undefined;
}
