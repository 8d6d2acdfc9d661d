import { type ErrorCode, isVdcError, type VdcError } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import type { HostInstance } from "../../src/host/host-instance.ts";
import type { MemoryHost } from "../../src/host/memory-host.ts";
import { MemoryHostRuntime } from "../../src/host/memory-host-runtime.ts";
import { suitePlane } from "../../src/host/suite-plane.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";

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
export function mutant(
  breaks: string,
  how: string,
  change: (memory: MemoryHostRuntime) => Partial<HostRuntime>,
): HostMutant {
  const broken = (memory: MemoryHostRuntime): HostRuntime => {
    const own = change(memory);
    // The reference keeps its methods on the prototype.
    return new Proxy<HostRuntime>(memory, {
      get(target, name) {
        const replaced = own[name as keyof HostRuntime];
        if (replaced !== undefined) return replaced;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  return {
    breaks,
    how,
    mutate(instance) {
      const { host } = instance.implementation as MemoryHostRuntime;
      return {
        ...instance,
        implementation: broken(instance.implementation as MemoryHostRuntime),
        reopen: async () => broken(new MemoryHostRuntime(host)),
      };
    },
  };
}

/** A mutant whose host is another one after its runtime was killed. */
export function forgetful(breaks: string, how: string, forget: (host: MemoryHost) => void): HostMutant {
  return {
    breaks,
    how,
    mutate(instance) {
      const { host } = instance.implementation as MemoryHostRuntime;
      return {
        ...instance,
        async reopen() {
          forget(host);
          return new MemoryHostRuntime(host);
        },
      };
    },
  };
}

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
export async function failing<T>(
  call: Promise<T>,
  code: ErrorCode,
  otherwise: (error: VdcError) => T | Promise<T>,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error, code)) throw error;
    return otherwise(error);
  }
}
