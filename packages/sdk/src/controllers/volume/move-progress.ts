import type { VolumeMove } from "../../kinds/volume-spec.ts";
import type { VolumeContext } from "./volume-object.ts";

/** How often a move's progress goes to disk, in milliseconds. On the task it is shown at once. */
const recordEveryMs = 1_000;

/** Shows how far a move is: on the task, and now and then in the volume's status. */
export async function showProgress(
  context: VolumeContext,
  move: VolumeMove,
  { copiedBytes, totalBytes }: { readonly copiedBytes: number; readonly totalBytes: number },
): Promise<void> {
  const message = `moving to storage '${move.to.storage}'`;
  context.progress(totalBytes === 0 ? { message } : { fraction: Math.min(1, copiedBytes / totalBytes), message });
  const at = context.clock.now();
  await context.updateStatus(({ status }) => {
    const present = status.move;
    if (present?.to.name !== move.to.name || at - (present.progress?.at ?? 0) < recordEveryMs) return { status };
    const progress = { copiedBytes: Math.round(copiedBytes), totalBytes: Math.round(totalBytes), at };
    return { status: { ...status, move: { ...present, progress } } };
  });
}
