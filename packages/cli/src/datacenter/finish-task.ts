import { isVdcError } from "@vdc-os/core";
import type { Datacenter, TaskHandle } from "@vdc-os/sdk";
import type { CommandContext } from "../commands/command-context.ts";

/** Options of {@link finishTask}. */
export interface FinishTaskOptions {
  /** What is shown while it takes its time. */
  readonly label: string;
  /** What the whole of it moves, where that is known. */
  readonly totalBytes?: number | undefined;
  /** The object that it is about, so that it can be said what it waits for. */
  readonly about?: { readonly dc: Datacenter; readonly name: string };
  /** Waits until what the cancelled task had begun is undone. It has half a minute; the datacenter undoes the rest when it is opened again. */
  readonly afterCancel?: (signal: AbortSignal) => Promise<unknown>;
  /** Whether a task that failed is undone so too: a command that fails leaves nothing then that would take its name. Defaults to false. */
  readonly undoFailed?: boolean;
}

const undoingMs = 30_000;

/** How often it is looked what a task waits for, in milliseconds. */
const lookEveryMs = 500;

/** Why the datacenter could not do it yet, when it was last tried: it is tried again and again. */
function whyNotYet({ dc, name }: { readonly dc: Datacenter; readonly name: string }): string | undefined {
  const failures = dc.status().controllers.flatMap((controller) => controller.failures);
  return failures.find(({ key }) => key === `default/${name}`)?.error.message;
}

/** Waits for a task, and shows how far it is. When the user interrupts, the task is cancelled, and what it had begun is undone first. */
export async function finishTask<Result>(
  { terminal, signal }: Pick<CommandContext, "terminal" | "signal">,
  task: TaskHandle<Result>,
  options: FinishTaskOptions,
): Promise<Result> {
  const { label, totalBytes, about, afterCancel, undoFailed = false } = options;
  return terminal.progress(
    label,
    async (shown) => {
      const looking = setInterval(() => {
        const why = about === undefined ? undefined : whyNotYet(about);
        if (why !== undefined) shown.update({ message: `it is tried again: ${why}` });
      }, lookEveryMs);
      try {
        return await task.wait({ signal, onProgress: (progress) => shown.update(progress) });
      } catch (error) {
        const undoing = AbortSignal.timeout(undoingMs);
        if (!signal.aborted) {
          if (undoFailed) await afterCancel?.(undoing).catch(() => {});
          throw error;
        }
        shown.update({ message: "cancelling" });
        await task.cancel({ signal: undoing }).catch((failure) => {
          // It has ended meanwhile, or can't be cancelled any more.
          if (!isVdcError(failure)) throw failure;
        });
        await afterCancel?.(undoing).catch(() => {});
        throw error;
      } finally {
        clearInterval(looking);
      }
    },
    { totalBytes },
  );
}
