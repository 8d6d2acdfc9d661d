import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import { identifyProcess, type ProcessIdentity } from "@vdc-os/core/local";
import { findOwnedProcesses } from "../src/process-table.ts";
import { sweepHostDirectory } from "../src/sweep-host-directory.ts";

export const echoPlane: string = new URL("./fixtures/echo-plane.ts", import.meta.url).href;

/** A host's folder that leaves nothing behind. */
export class TestHostDirectory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<TestHostDirectory> {
    return new TestHostDirectory(await mkdtemp(join(tmpdir(), "vdch-")));
  }

  processes(): Promise<readonly ProcessIdentity[]> {
    return findOwnedProcesses(this.path);
  }

  async pids(): Promise<readonly number[]> {
    return (await this.processes()).map(({ pid }) => pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await sweepHostDirectory(this.path);
    await rm(this.path, { recursive: true, force: true });
  }
}

export function context(timeoutMs = 30_000): OperationContext {
  return createOperationContext({ timeoutMs });
}

/** What asks for an echo plane. */
export function echo(
  processId: string,
  config: EnsureProcess["program"] extends infer P ? (P extends { readonly config: infer C } ? C : never) : never = {},
): EnsureProcess {
  return {
    processId,
    owner: { datacenter: "dc-1", tenant: "default", kind: "volume", name: processId, uid: `uid-${processId}` },
    program: { kind: "module", module: echoPlane, config },
  };
}

/** Waits until a process satisfies a condition, by the watch. */
export async function until(
  runtime: HostRuntime,
  processId: string,
  condition: (status: ProcessStatus) => boolean,
): Promise<ProcessStatus> {
  const called = context();
  for await (const item of runtime.watchProcesses({}, called)) {
    if (item.type !== "resync" && item.object.processId === processId && condition(item.object)) return item.object;
  }
  throw new Error(`'${processId}' did not get there`);
}

/** Whether a pid runs (a zombie does not). */
export async function runs(pid: number): Promise<boolean> {
  return (await identifyProcess(pid)) !== undefined;
}
