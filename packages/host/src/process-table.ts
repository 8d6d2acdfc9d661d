import { awaitExit, findProcessesByEnvironment, type ProcessIdentity, signalProcess } from "@vdc-os/core/local";

/** A process whose environment names a host directory. */
export interface OwnedProcess extends ProcessIdentity {
  readonly sessionLeader: boolean;
  /** `VDC_OWNER`; `undefined` for the runtime itself. */
  readonly owner: string | undefined;
  readonly processId: string | undefined;
  /** `VDC_SPAWN`: which start of the process it belongs to. */
  readonly spawn: string | undefined;
}

/** The environment variable that names the host directory a process belongs to. */
export const hostDirectoryVariable = "VDC_HOST_DIRECTORY";

/** The environment variable that names the start a process belongs to. */
export const spawnVariable = "VDC_SPAWN";

/** All running processes whose environment names the host directory in a variable, this one excepted. */
export async function findOwnedProcesses(
  root: string,
  variable: string = hostDirectoryVariable,
): Promise<readonly OwnedProcess[]> {
  const found = await findProcessesByEnvironment(variable, root);
  return found.map(({ variables, ...identity }) => ({
    ...identity,
    owner: variables.get("VDC_OWNER"),
    processId: variables.get("VDC_PROCESS_ID"),
    spawn: variables.get(spawnVariable),
  }));
}

/**
 * Kills every process of a host directory that `selects` names, and waits until they are gone. A killed process may have forked in
 * the meantime, so it looks again until there is none. Returns how many it killed.
 */
export async function killOwnedProcesses(
  root: string,
  selects: (owned: OwnedProcess) => boolean = () => true,
  variable: string = hostDirectoryVariable,
): Promise<number> {
  const killed = new Set<string>();
  const giveUp = performance.now() + 10_000;
  let pauseMs = 2;
  for (;;) {
    const left = (await findOwnedProcesses(root, variable)).filter(selects);
    if (left.length === 0) return killed.size;
    if (performance.now() > giveUp) {
      throw new Error(`processes ${left.map((owned) => owned.pid).join(", ")} of '${root}' do not die`);
    }
    for (const owned of left) {
      if (await signalProcess(owned, "SIGKILL")) killed.add(`${owned.pid}:${owned.startTicks}`);
    }
    await Promise.all(left.map((owned) => awaitExit(owned, giveUp - performance.now())));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(100, pauseMs * 2);
  }
}
