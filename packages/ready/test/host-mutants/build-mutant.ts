import type { ErrorCode, VdcError } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import type { HostInstance } from "../../src/host/host-instance.ts";
import { MemoryHostRuntime } from "../../src/host/memory-host-runtime.ts";
import { suitePlane } from "../../src/host/suite-plane.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { type BuildForgetful, type BuildMutant, forgetfulOf, forgiving, mutantsOf } from "../build-mutant.ts";

/** A reference that breaks one requirement. */
export type HostMutant = Mutant<HostRuntime, HostInstance>;

/** The reference, on a host of its own. */
export function createReference(): HostInstance {
  const implementation = new MemoryHostRuntime();
  return {
    implementation,
    module: suitePlane,
    command: [suitePlane],
    reopen: async () => new MemoryHostRuntime(implementation.host),
    dispose: () => implementation.host.powerOff(),
  };
}

/** A mutant that answers some operations in another way, also after it is opened again. */
export const mutant: BuildMutant<HostRuntime, HostInstance, MemoryHostRuntime> = mutantsOf();

/** A mutant whose host is another one after its runtime was killed. */
export const forgetful: BuildForgetful<HostRuntime, HostInstance, MemoryHostRuntime> = forgetfulOf();

/** What tells something else of processes, wherever it tells of them. */
export function telling(
  memory: MemoryHostRuntime,
  map: (status: ProcessStatus) => ProcessStatus,
): Partial<HostRuntime> {
  return {
    ensureProcess: async (input, context) => map(await memory.ensureProcess(input, context)),
    listProcesses: async (input) => (await memory.listProcesses(input)).map(map),
    async *watchProcesses(input, context) {
      for await (const item of memory.watchProcesses(input, context)) {
        yield item.type === "resync" ? item : { type: item.type, object: map(item.object) };
      }
    },
  };
}

/** What is asked for something else than it was. */
export function asking(memory: MemoryHostRuntime, map: (spec: EnsureProcess) => EnsureProcess): Partial<HostRuntime> {
  return { ensureProcess: (input, context) => memory.ensureProcess(map(input), context) };
}

/** What comes of a call that fails with a code. */
export function failing<T>(
  call: Promise<T>,
  code: ErrorCode,
  otherwise: (error: VdcError) => T | Promise<T>,
): Promise<T> {
  return forgiving(call, (error) => {
    if (error.code !== code) throw error;
    return otherwise(error);
  });
}
