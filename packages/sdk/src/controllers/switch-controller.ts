import { isVdcError, VdcError } from "@vdc-os/core";
import type { SwitchSpec } from "@vdc-os/core/network/v1";
import {
  type Controller,
  defineController,
  type ReconcileContext,
  type ReconcileResult,
} from "../controller/define-controller.ts";
import { effectivePortSetting } from "../decisions/effective-port-setting.ts";
import { switchFinalizer, switchKind, type SwitchKindSpec, type SwitchKindStatus } from "../kinds/switch-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import type { DatacenterProviders } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";

type Context = ReconcileContext<SwitchKindSpec, SwitchKindStatus>;
type SwitchObject = Resource<SwitchKindSpec, SwitchKindStatus>;

/** How often the status is read until every member has realised the spec, in milliseconds. */
const pollMs = 150;

/** Hands each switch's whole desired state to its provider, and waits until it is realised. */
export function switchController(providers: DatacenterProviders): Controller {
  return defineController({
    kind: switchKind,
    resyncIntervalMs: 30_000,
    async reconcile(context) {
      const { object } = context;
      if (object === undefined) return;
      if (isBeingDeleted(object)) return remove(context, object, providers);
      return orFail(() => ensure(context, object, providers));
    },
  });
}

async function ensure(
  context: Context,
  object: SwitchObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const network = providers.network.get(object.spec.network);
  const { generation } = object.metadata;
  const spec = switchSpecOf(context, object);
  const problems = await network.validateSwitch({ spec }, context.operation);
  if (problems.length > 0) {
    const list = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
    throw new VdcError(
      "INVALID_ARGUMENT",
      `network '${object.spec.network}' refuses switch '${object.metadata.name}': ${list}`,
    );
  }
  await network.applySwitch({ spec, generation }, context.operation);
  const { members, ports } = await network.switchStatus({ switchId: spec.switchId }, context.operation);
  const waiting = members.filter(({ state, realizedGeneration }) => state !== "up" || realizedGeneration < generation);
  const status: SwitchKindStatus = { desiredGeneration: generation, members, connectedPorts: ports.length };
  const message = waiting
    .map(({ host, state, detail }) => `host '${host}' is ${state}${detail === "" ? "" : `: ${detail}`}`)
    .join("; ");
  await context.updateStatus({
    status,
    conditions: [
      {
        type: readyCondition,
        status: waiting.length === 0 ? "True" : "False",
        reason: waiting.length === 0 ? "Realised" : "WaitsForMembers",
        message,
      },
    ],
  });
  return waiting.length === 0 ? undefined : { requeueAfterMs: pollMs };
}

function switchSpecOf(context: Context, object: SwitchObject): SwitchSpec {
  const { spec, metadata } = object;
  return {
    switchId: metadata.uid,
    name: metadata.name,
    owner: context.ownerStamp,
    mtu: spec.mtu,
    transport: "overlay",
    members: spec.hosts.map((host) => ({ host, uplinks: [] })),
    portGroups: spec.portGroups.map((group) => ({
      key: group.name,
      name: group.name,
      binding: "static",
      setting: effectivePortSetting(spec.policy, group),
    })),
    ...(spec.opaque === undefined ? {} : { opaque: spec.opaque }),
  };
}

async function remove(
  context: Context,
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
