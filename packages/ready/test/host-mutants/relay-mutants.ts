import { createOperationContext, type Json, VdcError } from "@vdc-os/core";
import { MemoryHost } from "../../src/host/memory-host.ts";
import { MemoryHostRuntime } from "../../src/host/memory-host-runtime.ts";
import { failing, forgetful, type HostMutant, mutant, telling } from "./build-mutant.ts";

async function wholeLog(memory: MemoryHostRuntime, processId: string): Promise<string> {
  let text = "";
  for await (const piece of memory.readLog({ processId }, createOperationContext())) text += piece.text;
  return text;
}

/** Mutants that tell, relay and remember what they should not, or not what they should. */
export const relayMutants: readonly HostMutant[] = [
  mutant("host.list.all", "leaves out what has ended", (memory) => ({
    listProcesses: async (input) => (await memory.listProcesses(input)).filter(({ state }) => state !== "exited"),
  })),
  mutant("host.list.all", "lists processes in the order in which they were asked for", (memory) => ({
    listProcesses: async () => [...memory.host.processes.values()].map((process) => process.status()),
  })),
  mutant("host.list.owner", "takes the beginning of an owner for the owner", (memory) => ({
    listProcesses: async ({ ownerDatacenter = "" }) =>
      (await memory.listProcesses({})).filter(({ owner }) => owner.datacenter.startsWith(ownerDatacenter)),
  })),
  mutant("host.watch.begins", "tells what there is twice", (memory) => ({
    async *watchProcesses(input, context) {
      for await (const item of memory.watchProcesses(input, context)) {
        yield item;
        if (item.type === "added") yield item;
      }
    },
  })),
  mutant("host.watch.changes", "ends a watch when a process ends", (memory) => ({
    async *watchProcesses(input, context) {
      for await (const item of memory.watchProcesses(input, context)) {
        yield item;
        if (item.type !== "resync" && item.object.state === "exited") return;
      }
    },
  })),
  mutant("host.watch.slow", "tells a process as it was at first", (memory) => ({
    watchProcesses: (input, context) =>
      telling(memory, (status) => ({ ...status, startedAt: 1 })).watchProcesses?.(input, context) ??
      memory.watchProcesses(input, context),
  })),
  mutant("host.watch.cancel", "does not hear that a watch is cancelled", (memory) => ({
    watchProcesses: (input) => memory.watchProcesses(input, createOperationContext()),
  })),
  mutant("host.request.values", "answers an empty list for an empty object", (memory) => ({
    async request(input, context) {
      const value = await memory.request(input, context);
      return JSON.stringify(value) === "{}" ? [] : value;
    },
  })),
  mutant("host.request.errors", "leaves the reason of an error out", (memory) => ({
    request: (input, context) =>
      failing(memory.request(input, context), "DATA_LOSS", ({ code, message }) => {
        throw new VdcError(code, message);
      }),
  })),
  mutant("host.request.unknown", "answers nothing to a method that there is not", (memory) => ({
    request: (input, context) => failing(memory.request(input, context), "UNIMPLEMENTED", () => null),
  })),
  mutant("host.request.at-once", "answers calls that come at once with the first one's answer", (memory) => {
    const open = new Map<string, Promise<Json>>();
    return {
      request(input, context) {
        const key = `${input.processId} ${input.method}`;
        const answer = open.get(key) ?? memory.request(input, context).finally(() => open.delete(key));
        open.set(key, answer);
        return answer;
      },
    };
  }),
  mutant("host.request.cancel", "keeps it from the process that its caller has gone", (memory) => ({
    async request(input, context) {
      const gone = new Promise<never>((_, reject) => {
        context.signal.addEventListener("abort", () => reject(new VdcError("CANCELLED", "given up")), { once: true });
      });
      return Promise.race([memory.request(input, createOperationContext()), gone]);
    },
  })),
  mutant("host.request.deadline", "waits for an answer for as long as it takes", (memory) => ({
    request: (input) => memory.request(input, createOperationContext()),
  })),
  mutant("host.request.ended", "takes the end of a process for its answer", (memory) => ({
    request: (input, context) => failing(memory.request(input, context), "UNAVAILABLE", () => null),
  })),
  mutant("host.log.whole", "keeps what is ASCII", (memory) => ({
    async *readLog(input, context) {
      for await (const { offset, text } of memory.readLog(input, context)) {
        yield { offset, text: text.replaceAll(/[^\t-~]/g, "?") };
      }
    },
  })),
  mutant("host.log.offset", "counts characters", (memory) => ({
    async *readLog({ processId, offset = 0 }) {
      const text = await wholeLog(memory, processId);
      if (text.length > offset) yield { offset, text: text.slice(offset) };
    },
  })),
  mutant("host.log.pieces", "cuts wherever a piece ends", (memory) => ({
    async *readLog({ processId }) {
      const log = Buffer.from(await wholeLog(memory, processId));
      for (let offset = 0; offset < log.length; offset += 65_536) {
        yield { offset, text: log.toString("utf8", offset, offset + 65_536) };
      }
    },
  })),
  mutant("host.log.pieces", "gives a log in one piece", (memory) => ({
    async *readLog({ processId }) {
      yield { offset: 0, text: await wholeLog(memory, processId) };
    },
  })),
  mutant("host.log.follow", "ends a log where it ends for now", (memory) => ({
    readLog: (input, context) => memory.readLog({ ...input, follow: false }, context),
  })),
  mutant("host.log.cancel", "does not hear that a reader is gone", (memory) => ({
    readLog: (input) => memory.readLog(input, createOperationContext()),
  })),
  mutant("host.log.kept", "begins a log anew with each start", (memory) => ({
    async *readLog({ processId }) {
      const text = await wholeLog(memory, processId);
      yield { offset: 0, text: text.slice(text.lastIndexOf("plane")) };
    },
  })),
  mutant("host.log.unknown", "has an empty log of what there is not", (memory) => ({
    async *readLog(input, context) {
      if (memory.host.processes.has(input.processId)) yield* memory.readLog(input, context);
    },
  })),
  mutant("host.hostile.ids", "keeps its own log among those of processes", (memory) => ({
    async *readLog(input, context) {
      if (input.processId === "runtime") yield { offset: 0, text: "the runtime has begun\n" };
      else yield* memory.readLog(input, context);
    },
  })),
  forgetful("host.reopen.adopts", "starts again what goes on", ({ host }) => {
    for (const process of host.processes.values()) process.begin(process.spec);
  }),
  {
    breaks: "host.reopen.same",
    how: "knows nothing of what it ran",
    mutate: (instance) => ({
      ...instance,
      async reopen() {
        const host = new MemoryHost();
        host.newPid();
        return new MemoryHostRuntime(host);
      },
    }),
  },
  forgetful("host.reopen.removed", "forgets what has ended", ({ host }) => {
    for (const [id, { state }] of host.processes) if (state === "exited") host.processes.delete(id);
  }),
  forgetful("host.reopen.unfinished", "starts again what had not answered yet", ({ host }) => {
    for (const process of host.processes.values()) if (process.state === "starting") process.begin(process.spec);
  }),
];
