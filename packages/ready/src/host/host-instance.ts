import { fileURLToPath } from "node:url";
import type { Json } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import { must } from "../suite/must.ts";
import { isOverWithin } from "../suite/patience.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";
import { type PlaneConfig, suitePlane } from "./suite-plane.ts";

/** What the factory gives for the host suite. What runs on the host ends with the instance. */
export interface HostInstance extends Instance<HostRuntime> {
  /** The suite's data plane, as the host's `ensureProcess` takes a module. Defaults to the kit's own file, for a host that shares this machine's files. */
  readonly module?: string;
  /** The suite's command, and what comes before its arguments. Defaults to this Node.js with the same file. */
  readonly command?: readonly [command: string, ...args: string[]];
  /** Ends the runtime as `kill -9` does, and opens the host again. Without it adoption is not tried, and the verdict is `partial`. */
  reopen?(): Promise<HostRuntime>;
}

/** A requirement of the host suite. */
export type HostRequirement = Requirement<HostRuntime, HostInstance>;

/** What a host requirement works with. */
export type HostTest = SuiteTest<HostRuntime, HostInstance>;

/** A runtime of the host, as a requirement reaches it: the first one, or the one after a kill. */
export type HostView = Pick<HostTest, "provider" | "operation" | "instance">;

type Program = EnsureProcess["program"];

/** The datacenter that owns what the suite runs. */
export const datacenter = "dc-1";

/** How long a call may go on after its caller gave up, in milliseconds. */
const giveUpMs = 2_000;

/** What asks for the suite's data plane. */
export function planeSpec(
  { instance }: HostView,
  processId: string,
  config: PlaneConfig & Readonly<Record<string, Json>> = {},
): EnsureProcess {
  const module = instance.module ?? import.meta.resolve(suitePlane);
  return { processId, owner: ownerOf(processId), program: { kind: "module", module, config } };
}

/** What asks for the suite's command. */
export function commandSpec({ instance }: HostView, processId: string, ...args: readonly string[]): EnsureProcess {
  const own = [process.execPath, fileURLToPath(import.meta.resolve(suitePlane))] as const;
  const [command, ...first] = instance.command ?? own;
  const program: Program = { kind: "command", command, args: [...first, ...args] };
  return { processId, owner: ownerOf(processId), program };
}

/** The stamp of what the suite makes. */
export function ownerOf(name: string, ofDatacenter: string = datacenter): EnsureProcess["owner"] {
  return { datacenter: ofDatacenter, tenant: "default", kind: "volume", name, uid: `uid-${name}` };
}

/** Runs a process. */
export function ensure(test: HostView, spec: EnsureProcess): Promise<ProcessStatus> {
  return test.provider.ensureProcess(spec, test.operation());
}

/** Runs the suite's data plane. */
export function ensurePlane(
  test: HostView,
  processId: string,
  config: PlaneConfig & Readonly<Record<string, Json>> = {},
): Promise<ProcessStatus> {
  return ensure(test, planeSpec(test, processId, config));
}

/** How long a module has to become ready that never will, in milliseconds: what an orderly one takes on this host, and some. */
export async function shortReadyMs(test: HostView): Promise<number> {
  const startedAt = performance.now();
  await ensurePlane(test, "measured");
  const tookMs = performance.now() - startedAt;
  await remove(test, "measured");
  return Math.round(Math.max(300, tookMs * 3));
}

/** Calls a method of a process. */
export function request(test: HostView, processId: string, method: string, params: Json = null): Promise<Json> {
  return test.provider.request({ processId, method, params }, test.operation());
}

/** Ends a process. */
export function remove(test: HostView, processId: string, graceMs = 2_000): Promise<void> {
  return test.provider.removeProcess({ processId, graceMs }, test.operation());
}

/** The processes, in a few characters each: `a running`. */
export async function statesOf(test: HostView): Promise<readonly string[]> {
  const processes = await test.provider.listProcesses({}, test.operation());
  return processes.map(({ processId, state }) => `${processId} ${state}`);
}

/** All that a process has written. */
export async function logOf(test: HostView, processId: string): Promise<string> {
  let text = "";
  for await (const piece of test.provider.readLog({ processId }, test.operation())) text += piece.text;
  return text;
}

/** Waits until a command has written that it begins: it runs before it has come so far. */
export async function begun({ provider, operation }: HostView, processId: string): Promise<void> {
  const controller = new AbortController();
  let text = "";
  try {
    const context = operation({ signal: controller.signal });
    for await (const piece of provider.readLog({ processId, follow: true }, context)) {
      text += piece.text;
      if (text.includes(" begins\n")) return;
    }
  } finally {
    controller.abort();
  }
  must(false, `the log of '${processId}' ended before the process began`);
}

/** How often a process was started, as its log says. */
export async function startsOf(test: HostView, processId: string): Promise<number> {
  return (await logOf(test, processId)).split(" begins\n").length - 1;
}

/** Waits until a process is as it should be, as the watch tells. */
export async function until(
  { provider, operation }: HostView,
  processId: string,
  isSo: (status: ProcessStatus) => boolean,
): Promise<ProcessStatus> {
  const controller = new AbortController();
  try {
    for await (const item of provider.watchProcesses({}, operation({ signal: controller.signal }))) {
      if (item.type === "resync" || item.object.processId !== processId) continue;
      if (item.type !== "deleted" && isSo(item.object)) return item.object;
    }
  } finally {
    controller.abort();
  }
  must(false, `the watch ended before '${processId}' was as it should be`);
}

/** The pid of a process that runs. */
export function pidOf(status: ProcessStatus): number {
  must(status.pid !== undefined, `process '${status.processId}' is ${status.state}, and must have a pid`);
  return status.pid;
}

/** The runtime that the host has after its own was killed. */
export async function reopen(test: HostTest): Promise<HostView> {
  if (test.instance.reopen === undefined) return test.skip("the factory has no 'reopen'");
  return {
    provider: await test.wrap(await test.instance.reopen()),
    operation: test.operation,
    instance: test.instance,
  };
}

/** Whether a call has ended within the time that one that was given up has. */
export function endsSoon(call: Promise<unknown>): Promise<boolean> {
  return isOverWithin(call, giveUpMs);
}
