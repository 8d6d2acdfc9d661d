import { availableParallelism, totalmem } from "node:os";
import type { Description, Json, OperationContext } from "@vdc-os/core";
import type { EnsureProcess, HostInventory, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import { checkSpec } from "./check-spec.ts";
import type { HostDirectory } from "./host-directory.ts";
import { type LogPiece, readLog } from "./read-log.ts";
import type { ProcessChange, Supervisor } from "./supervisor.ts";

/** What a host says of itself. */
export interface HostFacts {
  readonly hostId: string;
  readonly bootId: string;
  readonly address: string;
  readonly failureDomain: string;
}

type WatchedProcess = ProcessChange | { readonly type: "resync"; readonly reason: string };

/** The `vdc.host` contract on a {@link Supervisor}. */
export class HostRuntimeService implements HostRuntime {
  readonly #supervisor: Supervisor;
  readonly #directory: HostDirectory;
  readonly #facts: HostFacts;

  constructor(supervisor: Supervisor, directory: HostDirectory, facts: HostFacts) {
    this.#supervisor = supervisor;
    this.#directory = directory;
    this.#facts = facts;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@vdc-os/host", version: "0.1.0", simulated: false },
      facets: {},
      attributes: { host: this.#facts.hostId, failureDomain: this.#facts.failureDomain },
    };
  }

  async inventory(): Promise<HostInventory> {
    const limit = process.constrainedMemory();
    const total = totalmem();
    return {
      ...this.#facts,
      cpus: availableParallelism(),
      // A container's limit where there is one; without one the system says 0, or more than there is.
      memoryBytes: limit > 0 && limit < total ? limit : total,
      directory: this.#directory.root,
    };
  }

  async ensureProcess(input: EnsureProcess, context: OperationContext): Promise<ProcessStatus> {
    return this.#supervisor.ensure(checkSpec(input), context.signal);
  }

  removeProcess(
    input: { readonly processId: string; readonly graceMs?: number },
    context: OperationContext,
  ): Promise<void> {
    return this.#supervisor.remove(input.processId, input.graceMs, context.signal);
  }

  async listProcesses(input: { readonly ownerDatacenter?: string }): Promise<readonly ProcessStatus[]> {
    return this.#supervisor.list(input.ownerDatacenter);
  }

  /** Begins with all processes as `added`. A slow reader gets only the latest change of each. */
  async *watchProcesses(_: Readonly<Record<never, never>>, context: OperationContext): AsyncGenerator<WatchedProcess> {
    const changed = new Map<string, ProcessChange>();
    let wake: () => void = () => {};
    const stop = this.#supervisor.listen((change) => {
      // Put last, so that what was waiting longer comes first.
      changed.delete(change.object.processId);
      changed.set(change.object.processId, change);
      wake();
    });
    const onAbort = (): void => wake();
    context.signal.addEventListener("abort", onAbort);
    try {
      for (const object of this.#supervisor.list()) yield { type: "added", object };
      while (!context.signal.aborted) {
        const [next] = changed.values();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        changed.delete(next.object.processId);
        yield next;
      }
    } finally {
      stop();
      context.signal.removeEventListener("abort", onAbort);
    }
  }

  request(
    input: { readonly processId: string; readonly method: string; readonly params: Json },
    context: OperationContext,
  ): Promise<Json> {
    return this.#supervisor.request(input.processId, input.method, input.params, context.signal);
  }

  async *readLog(
    input: { readonly processId: string; readonly offset?: number; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncGenerator<LogPiece> {
    const { path, isThere } = this.#supervisor.logOf(input.processId);
    const { offset = 0, follow = false } = input;
    yield* readLog(path, { offset, follow, isThere, signal: context.signal });
  }
}
