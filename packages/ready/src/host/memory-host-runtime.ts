import { isAbsolute } from "node:path";
import {
  type Description,
  type Json,
  type OperationContext,
  refuseWhenOver,
  toVdcError,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  type EnsureProcess,
  type HostInventory,
  type HostRuntime,
  hostRuntime,
  type ProcessStatus,
} from "@vdc-os/core/host/v1";
import { type MemoryChange, MemoryHost } from "./memory-host.ts";
import { MemoryProcess } from "./memory-process.ts";
import { suitePlane } from "./suite-plane.ts";

const defaultGraceMs = 5_000;
const defaultReadyTimeoutMs = 15_000;
const pieceBytes = 65_536;

type LogInput = { readonly processId: string; readonly offset?: number; readonly follow?: boolean };

/** A host runtime in memory: the reference that the suite is proved with. It runs nothing but the suite's own data plane, and that in this process. */
export class MemoryHostRuntime implements HostRuntime {
  readonly host: MemoryHost;

  constructor(host: MemoryHost = new MemoryHost()) {
    this.host = host;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@vdc-os/ready memory host", version: "0.1.0", simulated: true },
      facets: {},
      attributes: { host: this.host.hostId },
    };
  }

  async inventory(): Promise<HostInventory> {
    const { hostId, bootId, directory } = this.host;
    return {
      ...{ hostId, bootId, directory, address: "127.0.0.1", failureDomain: hostId },
      ...{ cpus: 4, memoryBytes: 8 * 2 ** 30 },
    };
  }

  async ensureProcess(input: EnsureProcess, context: OperationContext): Promise<ProcessStatus> {
    const { signal } = context;
    const spec = checkSpec(input);
    refuseWhenOver(context);
    const present = this.host.processes.get(spec.processId);
    if (present !== undefined && present.spec.owner.datacenter !== spec.owner.datacenter) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `process '${spec.processId}' belongs to datacenter '${present.spec.owner.datacenter}'`,
        { reason: "VDC_PROCESS_OF_ANOTHER_OWNER" },
      );
    }
    checkInstalled(spec);
    const process = present ?? new MemoryProcess(this.host, spec);
    if (present === undefined) this.host.processes.set(spec.processId, process);
    await serialise(process, async () => {
      if (process.isRemoved || process.isAsked(spec)) return;
      await process.stop(defaultGraceMs);
      process.end();
      process.begin(spec);
    });
    if (process.isRemoved) return this.ensureProcess(input, context);
    await isReady(process, spec.readyTimeoutMs ?? defaultReadyTimeoutMs, signal);
    return process.status();
  }

  async removeProcess(
    { processId, graceMs = defaultGraceMs }: { readonly processId: string; readonly graceMs?: number },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const { signal } = context;
    const process = this.host.processes.get(processId);
    if (process === undefined) return;
    const removal = serialise(process, async () => {
      if (process.isRemoved) return;
      await process.stop(graceMs);
      process.forget();
    });
    await orAborted(removal, signal);
  }

  async listProcesses({ ownerDatacenter }: { readonly ownerDatacenter?: string }): Promise<readonly ProcessStatus[]> {
    return [...this.host.processes.values()]
      .map((process) => process.status())
      .filter(({ owner }) => ownerDatacenter === undefined || owner.datacenter === ownerDatacenter)
      .sort((a, b) => (a.processId < b.processId ? -1 : 1));
  }

  async *watchProcesses(
    _: Readonly<Record<never, never>>,
    { signal }: OperationContext,
  ): AsyncGenerator<WatchItem<ProcessStatus>> {
    const waiting = new Map<string, MemoryChange>();
    let wake = (): void => undefined;
    const stop = this.host.listen((change) => {
      waiting.delete(change.object.processId);
      waiting.set(change.object.processId, change);
      wake();
    });
    const onAbort = (): void => wake();
    signal.addEventListener("abort", onAbort);
    try {
      for (const object of await this.listProcesses({})) yield { type: "added", object };
      while (!signal.aborted) {
        const [next] = waiting.values();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        waiting.delete(next.object.processId);
        yield next;
      }
    } finally {
      stop();
      signal.removeEventListener("abort", onAbort);
    }
  }

  async request(
    { processId, method, params }: { readonly processId: string; readonly method: string; readonly params: Json },
    { signal }: OperationContext,
  ): Promise<Json> {
    const process = this.#find(processId);
    if (process.spec.program.kind === "command") {
      throw new VdcError("UNIMPLEMENTED", `process '${processId}' is a command: it has no control protocol`);
    }
    if (process.state !== "running") throw new VdcError("UNAVAILABLE", `process '${processId}' is ${process.state}`);
    const copy = JSON.parse(JSON.stringify(params)) as Json;
    const answer = await orAborted(process.call(method, copy, signal), signal).catch((error: unknown) => {
      if (!(error instanceof RangeError)) throw error;
      throw new VdcError("UNIMPLEMENTED", `process '${processId}' has no method '${method}'`);
    });
    if (answer === undefined) throw new VdcError("UNAVAILABLE", `process '${processId}' ended during '${method}'`);
    return answer.value;
  }

  async *readLog(
    { processId, offset: from = 0, follow = false }: LogInput,
    { signal }: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const process = this.#find(processId);
    let offset = from > process.log.length ? 0 : from;
    for (;;) {
      while (offset < process.log.length) {
        refuseWhenOver({ signal });
        const end = wholeEnd(process.log, offset);
        yield { offset, text: process.log.toString("utf8", offset, end) };
        offset = end;
      }
      if (!follow || process.isRemoved) return;
      await orAborted(
        process.changed(() => process.log.length > offset || process.isRemoved),
        signal,
      );
    }
  }

  #find(processId: string): MemoryProcess {
    const found = this.host.processes.get(processId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no process '${processId}'`);
    return found;
  }
}

/** A copy of what the contract allows. */
function checkSpec(input: EnsureProcess): EnsureProcess {
  const parsed = hostRuntime.operations.ensureProcess?.input.safeParse(input);
  const { program, owner } = input;
  const given = [
    owner.datacenter,
    ...(program.kind === "command" ? [program.command, ...program.args] : [program.module]),
  ];
  if (parsed?.success !== true || given.some((text) => text.includes("\0"))) {
    throw new VdcError("INVALID_ARGUMENT", `no process can be started as '${input.processId}' from this`);
  }
  return JSON.parse(JSON.stringify(input)) as EnsureProcess;
}

function checkInstalled({ program, processId }: EnsureProcess): void {
  const what = program.kind === "module" ? program.module : program.command;
  if (what === suitePlane && !isAbsolute(what)) return;
  throw new VdcError("FAILED_PRECONDITION", `'${what}' of process '${processId}' is not on this host`);
}

async function isReady(process: MemoryProcess, timeoutMs: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  const isStarted = (): boolean => process.answered && process.spec.program.kind === "command";
  const isSettled = (): boolean => ["running", "exited"].includes(process.state) || isStarted() || process.isRemoved;
  await orAborted(Promise.race([process.changed(isSettled), late]), signal).finally(() => clearTimeout(timer));
  if (process.isRemoved) throw new VdcError("ABORTED", `process '${process.spec.processId}' was removed meanwhile`);
  if (isStarted() || process.state === "running" || (process.state === "exited" && process.answered)) return;
  const { processId } = process.spec;
  const said = process.log.toString("utf8").slice(-2_000);
  throw new VdcError(
    process.state === "exited" ? "FAILED_PRECONDITION" : "UNAVAILABLE",
    `process '${processId}' is not ready (${process.state}); it wrote: ${said}`,
  );
}

function serialise<R>(process: MemoryProcess, run: () => Promise<R>): Promise<R> {
  const result = process.busy.then(run, run);
  process.busy = result.catch(() => undefined);
  return result;
}

/** What goes on by itself, for as long as somebody waits. */
async function orAborted<R>(going: Promise<R>, signal: AbortSignal): Promise<R> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(toVdcError(signal.reason));
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([going, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    going.catch(() => undefined);
  }
}

/** Where a piece ends, so that it cuts no character in two. */
function wholeEnd(log: Buffer, offset: number): number {
  let end = Math.min(log.length, offset + pieceBytes);
  while (end < log.length && end > offset && ((log[end] ?? 0) & 0xc0) === 0x80) end--;
  return end > offset ? end : Math.min(log.length, offset + pieceBytes);
}
