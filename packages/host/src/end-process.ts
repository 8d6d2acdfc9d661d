import type { ChildProcess } from "node:child_process";
import { VdcError } from "@vdc-os/core";
import { awaitExit, isRunning, killProcess, type ProcessIdentity, signalProcess } from "@vdc-os/core/local";
import { killOwnedProcesses } from "./process-table.ts";

/** How often a process is looked at that is no child of this one. */
const adoptedPollMs = 200;

/** SIGTERM, and the time to end in order: at most `graceMs`. Without any it is not asked. */
export async function askToEnd(identity: ProcessIdentity, graceMs: number): Promise<void> {
  if (graceMs > 0 && (await signalProcess(identity, "SIGTERM"))) await awaitExit(identity, graceMs);
}

/** SIGKILL, for a process and everything that it started. Rejects with `UNAVAILABLE` when it does not die. */
export async function killWithDescendants(
  identity: ProcessIdentity | undefined,
  { root, processId }: { readonly root: string; readonly processId: string },
): Promise<void> {
  if (identity !== undefined && !(await killProcess(identity))) {
    throw new VdcError("UNAVAILABLE", `process '${processId}' (${identity.pid}) does not die: it waits in the kernel`);
  }
  await killOwnedProcesses(root, (owned) => owned.processId === processId);
}

/** Watches a child of this process, until the returned function is called. `onEnd` is called once, with how it ended. */
export function watchChild(child: ChildProcess, onEnd: (lastExit: string) => void): () => void {
  const onExit = (code: number | null, signal: NodeJS.Signals | null): void =>
    onEnd(signal === null ? `exit code ${code}` : `signal ${signal}`);
  if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
  else child.once("exit", onExit);
  return () => void child.off("exit", onExit);
}

/** Watches a process that is no child of this one, in the same way. How it ended was told to the parent that it no longer has. */
export function watchAdopted(identity: ProcessIdentity, onEnd: (lastExit: string) => void): () => void {
  let isOver = false;
  const stop = (): void => {
    isOver = true;
    clearInterval(poll);
  };
  const poll = setInterval(async () => {
    if ((await isRunning(identity)) || isOver) return;
    stop();
    onEnd("ended, unknown how");
  }, adoptedPollMs).unref();
  return stop;
}
