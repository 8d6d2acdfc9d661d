import { toVdcError } from "@vdc-os/core";
import type { QosPolicy } from "@vdc-os/core/storage/v1";
import { policyProblems } from "../../decisions/policy-problems.ts";
import { capabilitiesOf } from "../../decisions/pool-report.ts";
import { storagePolicyKind } from "../../kinds/storage-policy-spec.ts";
import { storagePoolKind } from "../../kinds/storage-pool-spec.ts";
import { compliantCondition, type VolumeStatus } from "../../kinds/volume-spec.ts";
import type { ConditionChange } from "../../resource/condition.ts";
import type { StorageHandle } from "../providers.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** What came of holding a volume against its policy. */
export interface Compliance {
  readonly status: Pick<VolumeStatus, "capabilities" | "qos">;
  readonly conditions: readonly ConditionChange[];
}

const noLimits: QosPolicy = { iops: 0, bytesPerSecond: 0 };

/**
 * Holds a volume that is there against its policy: puts the policy's limits in force, and says in condition `Compliant` what the provider lacks by now. A volume
 * that does not comply stays as it is: moving it is somebody's decision.
 */
export async function holdAgainstPolicy(
  context: VolumeContext,
  object: VolumeObject,
  storage: StorageHandle,
  volumeId: string,
): Promise<Compliance> {
  const { policy: name } = object.spec;
  if (name === undefined) return { status: {}, conditions: [] };
  const key = { tenant: object.metadata.tenant, name };
  const policy = await context.store.find(storagePolicyKind, key, { signal: context.signal });
  if (policy === undefined) return outcome(object, "Unknown", "PolicyGone", [`there is no policy '${name}'`]);
  try {
    const { facets, attributes } = await storage.describe({ scope: {} }, context.operation);
    const labels = context.cache.get(storagePoolKind, { tenant: "default", name: storage.name })?.metadata.labels ?? {};
    const lacks = policyProblems(policy.spec, { facets, attributes, labels }).map(
      (problem) => `storage '${storage.name}' ${problem}`,
    );
    const limits = await putInForce(context, object, storage, { volumeId, wanted: policy.spec.qos });
    const status = {
      capabilities: capabilitiesOf({ facets, attributes }),
      ...(limits.applied === undefined ? {} : { qos: limits.applied }),
    };
    const problems = [...lacks, ...limits.problems];
    if (problems.length === 0) return { status, conditions: [condition("True", "Satisfied", [])] };
    const reason = lacks.length > 0 ? "StorageDiffers" : "QosDiffers";
    return { status, conditions: [condition("False", reason, problems)] };
  } catch (error) {
    return outcome(object, "Unknown", "StorageUnreachable", [toVdcError(error).message]);
  }
}

function condition(status: ConditionChange["status"], reason: string, problems: readonly string[]): ConditionChange {
  return { type: compliantCondition, status, reason, message: problems.join("; ") };
}

function outcome(
  { status: { capabilities, qos } }: VolumeObject,
  status: ConditionChange["status"],
  reason: string,
  problems: readonly string[],
): Compliance {
  const kept = { ...(capabilities === undefined ? {} : { capabilities }), ...(qos === undefined ? {} : { qos }) };
  return { status: kept, conditions: [condition(status, reason, problems)] };
}

async function putInForce(
  context: VolumeContext,
  object: VolumeObject,
  storage: StorageHandle,
  limit: { readonly volumeId: string; readonly wanted: QosPolicy | undefined },
): Promise<{ readonly applied?: QosPolicy; readonly problems: readonly string[] }> {
  const { volumeId } = limit;
  // Limits that somebody else has set stay, where the policy says nothing; those that a policy has set are lifted.
  const wanted = limit.wanted ?? (object.status.qos === undefined ? undefined : noLimits);
  if (wanted === undefined) return { problems: [] };
  const facet = await storage.facet("qos", context.operation);
  // That it lacks the facet is among the policy's problems already.
  if (!facet.available) return { problems: [] };
  const { operations } = facet;
  let found = await operations.getQos({ volumeId }, context.operation);
  if (!sameLimits(found, wanted)) {
    await operations.setQos({ volumeId, policy: wanted }, context.operation);
    found = await operations.getQos({ volumeId }, context.operation);
  }
  const applied = limit.wanted === undefined ? {} : { applied: limit.wanted };
  if (sameLimits(found, wanted)) return { ...applied, problems: [] };
  const text = ({ iops, bytesPerSecond }: QosPolicy): string =>
    `${iops} operations and ${bytesPerSecond} bytes a second`;
  return { ...applied, problems: [`limits of ${text(found)} are in force, and must be ${text(wanted)}`] };
}

function sameLimits(a: QosPolicy, b: QosPolicy): boolean {
  const same = (x: number | undefined, y: number | undefined): boolean => y === undefined || x === y;
  return (
    a.iops === b.iops &&
    a.bytesPerSecond === b.bytesPerSecond &&
    same(a.burstOperations, b.burstOperations) &&
    same(a.burstBytes, b.burstBytes)
  );
}
