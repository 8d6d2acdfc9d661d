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
import type { SimulatedHostSpec } from "../compute/simulated-hypervisor.ts";
import { ChangeFeed } from "../world/change-feed.ts";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";
import { SimulatedPids, SupervisedProgram } from "./supervised-program.ts";

const defaultGraceMs = 5_000;
const defaultReadyTimeoutMs = 15_000;
const pieceBytes = 65_536;

/**
 * The runtime of a simulated host: it keeps a list of processes, and runs none. What a process seems to do is a program of the world; one that the
 * world does not know is on the list, and answers nothing.
 */
export class SimulatedHostRuntime implements HostRuntime {
  readonly #host: Required<SimulatedHostSpec>;
  readonly #world: WorldServices;
  readonly #processes: Map<string, SupervisedProgram> = new Map();
  readonly #pids: SimulatedPids = new SimulatedPids();
  readonly #feed: ChangeFeed<ProcessStatus> = new ChangeFeed();
  #bootId: string;

  constructor(host: Required<SimulatedHostSpec>, world: WorldServices) {
    this.#host = host;
    this.#world = world;
    this.#bootId = world.nextId("boot");
  }

  get #directory(): string {
    return `/simulated/${this.#world.name}/${this.#host.name}`;
  }

  async describe(): Promise<Description> {
    const { name, failureDomain } = this.#host;
    return describeSimulated(hostRuntime, { available: {}, attributes: { host: name, failureDomain } });
  }

  async inventory(): Promise<HostInventory> {
    const { name, failureDomain, cpus, memoryBytes } = this.#host;
    return {
      hostId: name,
      bootId: this.#bootId,
      address: `${name}.simulated.invalid`,
      failureDomain,
      cpus,
      memoryBytes,
      directory: this.#directory,
    };
  }

  async ensureProcess(input: EnsureProcess, context: OperationContext): Promise<ProcessStatus> {
    refuseWhenOver(context);
    const spec = this.#check(input);
    const { processId, owner } = spec;
    let process = this.#processes.get(processId);
    if (process !== undefined && process.spec.owner.datacenter !== owner.datacenter) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `process '${processId}' belongs to datacenter '${process.spec.owner.datacenter}'`,
        { reason: "VDC_PROCESS_OF_ANOTHER_OWNER" },
      );
    }
    if (process === undefined) {
      const made = this.#make(spec);
      process = made;
      this.#processes.set(processId, made);
    }
    await orGivenUp(process.ensure(spec), context.signal);
    // It was removed before its turn came, and the id is free.
    if (process.isRemoved) return this.ensureProcess(input, context);
    await this.#settled(process, spec.readyTimeoutMs ?? defaultReadyTimeoutMs, context.signal);
    return process.status();
  }

  async removeProcess(
    { processId, graceMs = defaultGraceMs }: { readonly processId: string; readonly graceMs?: number },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const process = this.#processes.get(processId);
    if (process !== undefined) await orGivenUp(process.remove(graceMs), context.signal);
  }

  async listProcesses({ ownerDatacenter }: { readonly ownerDatacenter?: string }): Promise<readonly ProcessStatus[]> {
    return this.#statuses().filter(
      ({ owner }) => ownerDatacenter === undefined || owner.datacenter === ownerDatacenter,
    );
  }

  watchProcesses(
    _input: Readonly<Record<never, never>>,
    context: OperationContext,
  ): AsyncIterable<WatchItem<ProcessStatus>> {
    return this.#feed.watch(() => this.#statuses(), context.signal);
  }

  async request(
    { processId, method, params }: { readonly processId: string; readonly method: string; readonly params: Json },
    { signal }: OperationContext,
  ): Promise<Json> {
    const process = this.#find(processId);
    if (process.spec.program.kind === "module" && process.state !== "running") {
      throw new VdcError("UNAVAILABLE", `process '${processId}' is ${process.state}`);
    }
    const answer = await orGivenUp(process.call(method, structuredClone(params) as Json, signal), signal);
    if (answer === "ended") throw new VdcError("UNAVAILABLE", `process '${processId}' ended during '${method}'`);
    if (answer !== "unknown") return answer.value;
    throw new VdcError("UNIMPLEMENTED", `'${processId}' is simulated: nothing runs that could answer '${method}'`);
  }

  async *readLog(
    input: { readonly processId: string; readonly offset?: number; readonly follow?: boolean },
    { signal }: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const process = this.#find(input.processId);
    const from = input.offset ?? 0;
    let offset = from > process.log.length ? 0 : from;
    for (;;) {
      for (; offset < process.log.length; refuseWhenOver({ signal })) {
        const end = endOfPiece(process.log, offset);
        yield { offset, text: process.log.toString("utf8", offset, end) };
        offset = end;
      }
      if (input.follow !== true || process.isRemoved) return;
      await process.changed(() => process.log.length > offset || process.isRemoved, signal);
      refuseWhenOver({ signal });
    }
  }

  /** The host boots anew: its processes are gone, and it has another boot id. */
  reboot(): void {
    this.removeAll(undefined);
    this.#bootId = this.#world.nextId("boot");
  }

  /** Ends and forgets the processes that a datacenter stamped; without one, all. */
  removeAll(datacenter: string | undefined): void {
    for (const process of [...this.#processes.values()]) {
      if (datacenter === undefined || process.spec.owner.datacenter === datacenter) process.powerOff();
    }
  }

  #make(spec: EnsureProcess): SupervisedProgram {
    const made = new SupervisedProgram({
      spec,
      world: this.#world,
      host: this.#host.name,
      pids: this.#pids,
      directory: this.#directory,
      onChange: (type, status) => {
        if (type === "deleted" && this.#processes.get(status.processId) === made) {
          this.#processes.delete(status.processId);
        }
        this.#feed.tell(type, status.processId, status);
      },
    });
    return made;
  }

  #statuses(): readonly ProcessStatus[] {
    return [...this.#processes.values()]
      .map((process) => process.status())
      .sort((a, b) => (a.processId < b.processId ? -1 : 1));
  }

  /** A copy of a spec that a process could be started with, whose program is there. */
  #check(input: EnsureProcess): EnsureProcess {
    const parsed = hostRuntime.operations.ensureProcess?.input.safeParse(input);
    const { program, owner, processId } = input;
    const given = program.kind === "module" ? [program.module] : [program.command, ...program.args];
    if (parsed?.success !== true || [owner.datacenter, ...given].some((text) => text.includes("\0"))) {
      throw new VdcError("INVALID_ARGUMENT", `no process can be started as '${processId}' from this`);
    }
    const { programs } = this.#world;
    const [what = ""] = given;
    if (programs !== undefined && !Object.hasOwn(programs, what)) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `'${what}' of process '${processId}' is no program of the simulated world`,
      );
    }
    return structuredClone(input) as EnsureProcess;
  }

  async #settled(process: SupervisedProgram, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!process.isSettled) {
      const late = new AbortController();
      const cancel = this.#world.clock.schedule(timeoutMs, () => late.abort());
      await process.changed(() => process.isSettled, AbortSignal.any([signal, late.signal]));
      cancel();
      refuseWhenOver({ signal });
    }
    const { processId } = process.spec;
    if (process.isRemoved) throw new VdcError("ABORTED", `process '${processId}' was removed meanwhile`);
    if (process.isThere) return;
    throw new VdcError(
      process.state === "exited" ? "FAILED_PRECONDITION" : "UNAVAILABLE",
      `process '${processId}' is not ready (${process.state}); it wrote: ${process.log.toString("utf8").slice(-2_000)}`,
    );
  }

  #find(processId: string): SupervisedProgram {
    const found = this.#processes.get(processId);
    if (found === undefined)
      throw new VdcError("NOT_FOUND", `there is no process '${processId}' on host '${this.#host.name}'`);
    return found;
  }
}

/** Waits for what goes on by itself, until its caller gives up. */
async function orGivenUp<R>(going: Promise<R>, signal: AbortSignal): Promise<R> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    going.catch(() => undefined);
    reject(toVdcError(signal.reason));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([going, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Where a piece ends, so that it cuts no character in two. */
function endOfPiece(log: Buffer, offset: number): number {
  const most = Math.min(log.length, offset + pieceBytes);
  let end = most;
  while (end < log.length && end > offset && ((log[end] ?? 0) & 0xc0) === 0x80) end--;
  return end > offset ? end : most;
}
