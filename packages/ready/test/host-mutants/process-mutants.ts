import { createOperationContext, VdcError } from "@vdc-os/core";
import type { EnsureProcess, HostRuntime } from "@vdc-os/core/host/v1";
import type { MemoryHostRuntime } from "../../src/host/memory-host-runtime.ts";
import { MemoryProcess } from "../../src/host/memory-process.ts";
import { suitePlane } from "../../src/host/suite-plane.ts";
import { asking, failing, type HostMutant, mutant, telling } from "./build-mutant.ts";

/** Starts what is asked for beside what runs. */
function beside(memory: MemoryHostRuntime): Partial<HostRuntime> {
  const asked = new Map<string, string>();
  return {
    ensureProcess(input, context) {
      const text = JSON.stringify(input);
      if (asked.get(input.processId) !== text) memory.host.processes.delete(input.processId);
      asked.set(input.processId, text);
      return memory.ensureProcess(input, context);
    },
  };
}

/** What a process starts belongs to nobody. */
function orphaning(memory: MemoryHostRuntime): Partial<HostRuntime> {
  return {
    request: async (input, context) =>
      input.method === "breed" ? memory.host.newPid() : memory.request(input, context),
  };
}

function withArguments(spec: EnsureProcess, map: (args: readonly string[]) => readonly string[]): EnsureProcess {
  const { program } = spec;
  return program.kind === "module" ? spec : { ...spec, program: { ...program, args: map(program.args) } };
}

/** Mutants that run, restart and end processes as they should not. */
export const processMutants: readonly HostMutant[] = [
  mutant("host.inventory.host", "tells a folder that depends on where one is", (memory) => ({
    inventory: async () => ({ ...(await memory.inventory()), directory: "memory" }),
  })),
  mutant("host.inventory.stable", "takes the start of its runtime for a boot", (memory) => {
    const bootId = crypto.randomUUID();
    return { inventory: async () => ({ ...(await memory.inventory()), bootId }) };
  }),
  mutant("host.ensure.module", "tells a module as starting that answers", (memory) =>
    telling(memory, (status) => (status.controlSocket === undefined ? status : { ...status, state: "starting" })),
  ),
  mutant("host.ensure.config", "hands the config on as a string that ends at a NUL", (memory) =>
    asking(memory, (spec) => {
      const { program } = spec;
      if (program.kind === "command") return spec;
      const config = JSON.parse(JSON.stringify(program.config).replaceAll("\\u0000", ""));
      return { ...spec, program: { ...program, config } };
    }),
  ),
  mutant("host.ensure.environment", "tells each process the owner of the first", (memory) => ({
    async request(input, context) {
      const told = await memory.request(input, context);
      return input.method === "who" ? { ...(told as object), owner: "dc-1/memory/a" } : told;
    },
  })),
  mutant("host.ensure.idempotent", "compares specs as text", (memory) => {
    const asked = new Map<string, string>();
    return {
      async ensureProcess(input, context) {
        const text = JSON.stringify(input);
        if ((asked.get(input.processId) ?? text) !== text) {
          await memory.removeProcess({ processId: input.processId }, context);
        }
        asked.set(input.processId, text);
        return memory.ensureProcess(input, context);
      },
    };
  }),
  mutant("host.ensure.changed", "starts the new process beside the old one", beside),
  mutant("host.ensure.other-owner", "takes a process over from another datacenter", (memory) => ({
    ensureProcess(input, context) {
      const present = memory.host.processes.get(input.processId);
      if (present !== undefined) present.spec = { ...present.spec, owner: input.owner };
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.ensure.not-installed", "keeps on record what it has refused", (memory) => ({
    ensureProcess: (input, context) =>
      failing(memory.ensureProcess(input, context), "FAILED_PRECONDITION", (error) => {
        memory.host.processes.set(input.processId, new MemoryProcess(memory.host, input));
        throw error;
      }),
  })),
  mutant("host.ensure.not-ready", "does not say what the process wrote", (memory) => ({
    ensureProcess: (input, context) =>
      failing(memory.ensureProcess(input, context), "UNAVAILABLE", () => {
        throw new VdcError("UNAVAILABLE", "it is not ready");
      }),
  })),
  mutant("host.ensure.ended-at-once", "takes a start for a success, whatever came of it", (memory) => ({
    ensureProcess: (input, context) =>
      failing(memory.ensureProcess(input, context), "FAILED_PRECONDITION", async (error) => {
        const [status] = await memory.listProcesses({});
        if (status === undefined) throw error;
        return status;
      }),
  })),
  mutant("host.ensure.deadline", "waits for a process, whoever has gone", (memory) => ({
    ensureProcess: (input) => memory.ensureProcess(input, createOperationContext()),
  })),
  mutant("host.command.arguments", "leaves empty arguments out", (memory) =>
    asking(memory, (spec) => withArguments(spec, (args) => args.filter((argument) => argument !== ""))),
  ),
  mutant("host.command.runs", "tells the pid of a shell around the command", (memory) =>
    telling(memory, (status) =>
      status.controlSocket === undefined && status.pid !== undefined ? { ...status, pid: status.pid + 500 } : status,
    ),
  ),
  mutant("host.command.ends", "runs a command again that has ended, for whoever asks", (memory) => ({
    ensureProcess(input, context) {
      const present = memory.host.processes.get(input.processId);
      if (present?.state === "exited") present.begin(present.spec);
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.command.always", "runs every command once, and says how it ended otherwise", (memory) =>
    telling(memory, (status) => (status.lastExit === undefined ? status : { ...status, lastExit: "exit code 1" })),
  ),
  mutant("host.command.absent", "refuses an id for good that it has refused once", (memory) => {
    const refused = new Set<string>();
    return {
      async ensureProcess(input, context) {
        if (refused.has(input.processId)) throw new VdcError("FAILED_PRECONDITION", "refused");
        return failing(memory.ensureProcess(input, context), "FAILED_PRECONDITION", (error) => {
          refused.add(input.processId);
          throw error;
        });
      },
    };
  }),
  mutant("host.command.not-started", "waits for a program to appear that is to run always", (memory) => ({
    async ensureProcess(input, context) {
      return failing(memory.ensureProcess(input, context), "FAILED_PRECONDITION", (error) => {
        throw input.restart === "always" ? new VdcError("UNAVAILABLE", "it is not ready") : error;
      });
    },
  })),
  mutant("host.restart.module", "tells how the first one ended", (memory) => {
    let first: string | undefined;
    return telling(memory, (status) => {
      first ??= status.lastExit;
      return first === undefined ? status : { ...status, lastExit: first };
    });
  }),
  mutant("host.restart.never", "answers for a process that has ended", (memory) => ({
    request: (input, context) => failing(memory.request(input, context), "UNAVAILABLE", () => null),
  })),
  mutant("host.restart.backs-off", "tells the pid of what has ended", (memory) =>
    telling(memory, (status) => (status.state === "backingOff" ? { ...status, pid: 1 } : status)),
  ),
  mutant("host.restart.children", "leaves what a process started when it ended", orphaning),
  mutant("host.remove.ends", "leaves what a process started when it removes that", orphaning),
  mutant("host.remove.ends", "forgets a process, and lets it run", (memory) => ({
    async removeProcess({ processId }) {
      memory.host.processes.delete(processId);
    },
  })),
  mutant("host.remove.absent", "fails to remove what is absent", (memory) => ({
    async removeProcess(input, context) {
      if (!memory.host.processes.has(input.processId)) throw new VdcError("INTERNAL", "there is none");
      return memory.removeProcess(input, context);
    },
  })),
  mutant("host.remove.orderly", "kills at once", (memory) => ({
    removeProcess: ({ processId }, context) => memory.removeProcess({ processId, graceMs: 0 }, context),
  })),
  mutant("host.remove.forced", "leaves a process to itself that does not hear", (memory) => ({
    async removeProcess({ processId, graceMs }) {
      await new Promise((resolve) => setTimeout(resolve, graceMs));
      memory.host.processes.delete(processId);
    },
  })),
  mutant("host.remove.backing-off", "starts again what was to be started again, and was removed", (memory) => ({
    async removeProcess(input, context) {
      const { spec } = memory.host.processes.get(input.processId) ?? {};
      await memory.removeProcess(input, context);
      if (spec === undefined) return;
      setTimeout(() => {
        memory.ensureProcess(spec, createOperationContext({ timeoutMs: 100 })).catch(() => undefined);
      }, 200);
    },
  })),
  mutant("host.reopen.supervised", "leaves what an adopted process started", orphaning),
  mutant("host.concurrent.same", "starts a process for each who asks at once", (memory) => ({
    ensureProcess(input, context) {
      memory.host.processes.delete(input.processId);
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.concurrent.specs", "starts a process for each spec that is asked for at once", beside),
  mutant("host.concurrent.removed", "starts again what was removed, for who waits", (memory) => ({
    ensureProcess: (input, context) =>
      failing(memory.ensureProcess(input, context), "ABORTED", () => memory.ensureProcess(input, context)),
  })),
  mutant("host.concurrent.settles", "is too busy for a second call", (memory) => {
    let isBusy = false;
    const alone = async <T>(run: () => Promise<T>): Promise<T> => {
      if (isBusy) throw new VdcError("UNAVAILABLE", "busy");
      isBusy = true;
      return run().finally(() => {
        isBusy = false;
      });
    };
    return {
      ensureProcess: (input, context) => alone(() => memory.ensureProcess(input, context)),
      removeProcess: (input, context) => alone(() => memory.removeProcess(input, context)),
    };
  }),
  mutant("host.concurrent.many", "has room for ten processes", (memory) => ({
    async ensureProcess(input, context) {
      if (memory.host.processes.size >= 10) throw new VdcError("RESOURCE_EXHAUSTED", "ten are enough");
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.cancel.before", "takes a call that was given up for a fault of its own", (memory) => ({
    async ensureProcess(input, context) {
      if (context.signal.aborted) throw new VdcError("INTERNAL", "the signal was aborted");
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.cancel.ensure", "waits for a process that nobody waits for", (memory) => ({
    ensureProcess: (input) => memory.ensureProcess(input, createOperationContext()),
  })),
  mutant("host.deadline.passed", "removes what it is asked for too late", (memory) => ({
    removeProcess: (input) => memory.removeProcess(input, createOperationContext()),
  })),
  mutant("host.deadline.passed", "starts what it is asked for too late", (memory) => ({
    async ensureProcess(input, context) {
      await memory.ensureProcess(input, createOperationContext());
      return memory.ensureProcess(input, context);
    },
  })),
  mutant("host.cancel.remove", "has its caller wait for a removal that was given up", (memory) => ({
    removeProcess: (input) => memory.removeProcess(input, createOperationContext()),
  })),
  mutant("host.hostile.no-ids", "makes an id of what is none", (memory) =>
    asking(memory, (spec) => ({ ...spec, processId: spec.processId.replaceAll(/[^a-z0-9]/g, "") || "a" })),
  ),
  mutant("host.hostile.modules", "runs a module whose path leads out of where it looks", (memory) =>
    asking(memory, (spec) => {
      const { program } = spec;
      if (program.kind === "command" || !program.module.startsWith("..")) return spec;
      return { ...spec, program: { ...program, module: suitePlane } };
    }),
  ),
  mutant("host.hostile.nul", "cuts an argument off at a NUL", (memory) =>
    asking(memory, (spec) => withArguments(spec, (args) => args.map((argument) => argument.split("\0")[0] ?? ""))),
  ),
];
