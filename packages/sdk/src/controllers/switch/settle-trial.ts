import { isVdcError } from "@vdc-os/core";
import { switchKind, type SwitchKindStatus, type SwitchTrial } from "../../kinds/switch-spec.ts";
import { isBeingDeleted } from "../../resource/resource.ts";
import type { ResourceStore } from "../../store/resource-store.ts";
import type { NetworkHandle, SwitchObject } from "./switch-object.ts";

/** Options of {@link settleTrial}. */
export interface SettleTrialOptions {
  readonly store: ResourceStore;
  readonly network: NetworkHandle;
  readonly signal?: AbortSignal | undefined;
}

/** How a trial ended. */
export type TrialEnd = "confirmed" | "rolledBack";

/**
 * Does what was decided about a trial: `confirm` keeps the spec at the provider, and then makes it the object's own; `rollback` takes it back. It can be
 * repeated after a crash at any point. A confirmation that comes too late ends in `rolledBack`.
 */
export async function settleTrial(
  object: SwitchObject,
  trial: SwitchTrial,
  { store, network, signal }: SettleTrialOptions,
): Promise<TrialEnd> {
  const facet = await network.facet("configArchive", { signal });
  const end = await decide(trial, facet.available ? facet.operations : undefined, signal);
  const { tenant, name, uid, generation } = object.metadata;
  if (end === "confirmed" && !isBeingDeleted(object) && generation === trial.specGeneration) {
    await store.update(switchKind, { tenant, name }, trial.spec, {
      fieldOwner: "user",
      force: true,
      ifUid: uid,
      ifGeneration: generation,
      signal,
    });
  }
  await store.updateStatus(
    switchKind,
    { tenant, name },
    ({ status, metadata }) => ({
      status: status.trial?.rollbackToken === trial.rollbackToken ? ended(status, end, metadata.generation) : status,
    }),
    { observedGeneration: object.metadata.observedGeneration, ifUid: uid, signal },
  );
  return end;
}

type Archive = {
  confirmApply(input: { rollbackToken: string }, options: { signal?: AbortSignal | undefined }): Promise<void>;
  rollbackApply(input: { rollbackToken: string }, options: { signal?: AbortSignal | undefined }): Promise<void>;
};

async function decide(
  { rollbackToken, decision }: SwitchTrial,
  archive: Archive | undefined,
  signal: AbortSignal | undefined,
): Promise<TrialEnd> {
  if (archive === undefined) return "rolledBack";
  if (decision === "confirm") {
    try {
      await archive.confirmApply({ rollbackToken }, { signal });
      return "confirmed";
    } catch (error) {
      if (isVdcError(error, "ABORTED") || isVdcError(error, "NOT_FOUND")) return "rolledBack";
      throw error;
    }
  }
  try {
    await archive.rollbackApply({ rollbackToken }, { signal });
    return "rolledBack";
  } catch (error) {
    // Somebody has confirmed it before.
    if (isVdcError(error, "FAILED_PRECONDITION")) return "confirmed";
    if (isVdcError(error, "NOT_FOUND") || isVdcError(error, "ABORTED")) return "rolledBack";
    throw error;
  }
}

/** The generation on trial stands for the new spec; or it is spent, and so are those before it. */
function ended(status: SwitchKindStatus, end: TrialEnd, specGeneration: number): SwitchKindStatus {
  const { trial, specDigest: _, ...rest } = status;
  if (trial === undefined) return status;
  const highestGeneration = Math.max(status.highestGeneration ?? 0, trial.generation);
  if (end === "rolledBack") return { ...rest, highestGeneration };
  const { generation: desiredGeneration, specDigest } = trial;
  return { ...rest, highestGeneration, desiredGeneration, specGeneration, specDigest };
}
