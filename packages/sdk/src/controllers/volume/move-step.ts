import { VdcError } from "@vdc-os/core";
import type { ReconcileResult } from "../../controller/define-controller.ts";
import type { VolumeMove, VolumeStatus } from "../../kinds/volume-spec.ts";
import type { ConditionChange } from "../../resource/condition.ts";
import type { VolumeContext } from "./volume-object.ts";

/** What a step of a move came to. */
export type MoveStep =
  /** The status becomes another: go on with the next step. */
  | { readonly status: (status: VolumeStatus) => VolumeStatus; readonly conditions?: readonly ConditionChange[] }
  /** There is nothing to do now. */
  | { readonly wait: ReconcileResult };

/** The condition type that says what a move waits for. */
export const moveWaitsCondition = "MoveWaits";

const soonMs = 300;

/** The move enters another phase. */
export function enter(phase: VolumeMove["phase"]): MoveStep {
  return { status: (status) => (status.move === undefined ? status : { ...status, move: { ...status.move, phase } }) };
}

/** The move begins: nothing is waited for any more. */
export function beginMove(change: (status: VolumeStatus) => VolumeStatus): MoveStep {
  return { status: change, conditions: [{ type: moveWaitsCondition, status: "False", reason: "Begun" }] };
}

/** The target becomes the volume. */
export const arrive: MoveStep = {
  status: (status) => {
    const { cloneKind: _, accessibleHosts: __, move, ...rest } = status;
    if (move?.to.volumeId === undefined) return status;
    const { name: ___, ...there } = move.to;
    return { ...rest, ...there, move: { ...move, phase: "leaving" } };
  },
};

/** Says what the move waits for. */
export async function waitFor(context: VolumeContext, message: string): Promise<MoveStep> {
  await context.updateStatus({ conditions: [{ type: moveWaitsCondition, status: "True", reason: "InUse", message }] });
  return { wait: { requeueAfterMs: soonMs } };
}

/** Undoes what was made for the move, and fails its task. */
export async function giveUp(context: VolumeContext, move: VolumeMove, cause: Error): Promise<MoveStep> {
  await context.updateStatus(({ status }) =>
    status.move?.to.name === move.to.name && status.move.phase === "copying"
      ? { status: { ...status, move: { ...status.move, phase: "undoing" } } }
      : { status },
  );
  const text = `the volume stays on storage '${move.from.storage}': ${cause.message}`;
  const failed = new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_MOVE_FAILED", cause });
  return { wait: { failed, requeueAfterMs: 0 } };
}
