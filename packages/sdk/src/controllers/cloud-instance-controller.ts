import { VdcError } from "@vdc-os/core";
import type { CloudInstance, CreateInstance } from "@vdc-os/core/cloud/v1";
import {
  type Controller,
  defineController,
  type ReconcileContext,
  type ReconcileResult,
} from "../controller/define-controller.ts";
import { externalNameOf } from "../journal/external-name.ts";
import {
  cloudInstanceFinalizer,
  cloudInstanceKind,
  type CloudInstanceSpec,
  type CloudInstanceStatus,
} from "../kinds/cloud-instance-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import type { DatacenterProviders } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { settleIntents } from "./settle-intents.ts";

type Context = ReconcileContext<CloudInstanceSpec, CloudInstanceStatus>;
type InstanceObject = Resource<CloudInstanceSpec, CloudInstanceStatus>;

/** How often an instance that is on its way is looked at, in milliseconds. */
const pollMs = 300;

/**
 * Keeps one instance in a cloud for each object. The object's uid is the request's token: before anything is created the cloud is asked for it,
 * so that a crash or a lost answer never makes a second instance.
 */
export function cloudInstanceController(providers: DatacenterProviders): Controller {
  return defineController({
    kind: cloudInstanceKind,
    resyncIntervalMs: 60_000,
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
  object: InstanceObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const cloud = providers.cloud.get(object.spec.cloud);
  const token = object.metadata.uid;
  const observation = await cloud.observeInstance({ by: { token } }, context.operation);
  if (observation.state === "ambiguous") {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `cloud '${object.spec.cloud}' can't tell which instance is '${object.metadata.name}': ${observation.reason}`,
      {
        blockers: observation.instances.map(({ instanceId }) => ({ kind: "CloudInstance", name: instanceId })),
      },
    );
  }
  let instance: CloudInstance;
  if (observation.state === "present") {
    instance = observation.instance;
    await settleIntents(context, object);
  } else {
    const externalName = externalNameOf(object);
    const intent = await context.journal.begin({
      object,
      provider: `cloud/${object.spec.cloud}`,
      action: "create",
      externalName,
      signal: context.signal,
    });
    instance = await cloud.createInstance(requestOf(context, object, externalName), context.operation);
    await record(context, object, instance);
    await context.journal.done(intent, { signal: context.signal });
  }
  await record(context, object, instance);
  if (instance.state === "failed") {
    throw new VdcError(
      "RESOURCE_EXHAUSTED",
      `instance '${object.metadata.name}' failed in cloud '${object.spec.cloud}': ${instance.fault ?? "no reason was given"}`,
    );
  }
  return instance.state === "running" ? undefined : { requeueAfterMs: pollMs };
}

function requestOf(context: Context, object: InstanceObject, name: string): CreateInstance {
  const { image, size, region, networks, userData } = object.spec;
  return {
    name,
    image,
    size,
    networks,
    ...(region === undefined ? {} : { region }),
    ...(userData === undefined ? {} : { userData }),
    stamp: { owner: context.ownerStamp, token: object.metadata.uid },
  };
}

async function record(context: Context, object: InstanceObject, instance: CloudInstance): Promise<void> {
  const { instanceId, state, addresses, fault } = instance;
  await context.updateStatus({
    status: { instanceId, token: object.metadata.uid, state, addresses, ...(fault === undefined ? {} : { fault }) },
    conditions: [
      {
        type: readyCondition,
        status: state === "running" ? "True" : "False",
        reason: state === "running" ? "Realised" : "WaitsForCloud",
        message: fault ?? "",
      },
    ],
  });
}

async function remove(
  context: Context,
  object: InstanceObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const cloud = providers.cloud.get(object.spec.cloud);
  const observation = await cloud.observeInstance({ by: { token: object.metadata.uid } }, context.operation);
  if (observation.state !== "absent") {
    const instances = observation.state === "present" ? [observation.instance] : observation.instances;
    for (const { instanceId, state } of instances) {
      if (state !== "deleting") await cloud.removeInstance({ instanceId }, context.operation);
    }
    return { requeueAfterMs: pollMs };
  }
  await settleIntents(context, object);
  await context.removeFinalizer(cloudInstanceFinalizer);
  return undefined;
}
