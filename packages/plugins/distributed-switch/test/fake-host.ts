import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Json, VdcError } from "@vdc-os/core";
import type { EnsureProcess, HostInventory, ProcessStatus } from "@vdc-os/core/host/v1";
import type { SwitchHostRuntime } from "../src/control/host-member.ts";
import type { SwitchProcessConfig } from "../src/process/process-protocol.ts";
import { SwitchProcess, type SwitchProcessOptions } from "../src/process/switch-process.ts";

/** Plays a host's runtime, with its switch process in this process. */
export class FakeHost implements SwitchHostRuntime, AsyncDisposable {
  readonly host: string;
  readonly directory: string;
  /** Calls that reached the process, by method. */
  readonly calls: string[] = [];
  /** What `inventory` tells. */
  address = "127.0.0.1";
  /** Whether calls reach the host. */
  reachable = true;
  /** How ERSPAN leaves; the kernel's raw sockets where it is absent. */
  openGre?: NonNullable<SwitchProcessOptions["openGre"]>;
  #wanted: EnsureProcess | undefined;
  #process: SwitchProcess | undefined;
  #starting: Promise<SwitchProcess> | undefined;

  constructor(host: string, directory: string) {
    this.host = host;
    this.directory = join(directory, host);
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  inventory = async (): Promise<HostInventory> => {
    this.#reach();
    await mkdir(join(this.directory, "run"), { recursive: true });
    const { host, address, directory } = this;
    return { hostId: host, bootId: "1", address, failureDomain: host, cpus: 1, memoryBytes: 1, directory };
  };

  ensureProcess = async (input: EnsureProcess): Promise<ProcessStatus> => {
    this.#reach();
    this.#wanted = input;
    await this.#run();
    return { processId: input.processId, owner: input.owner, state: "running", restarts: 0 };
  };

  removeProcess = async (): Promise<void> => {
    this.#reach();
    this.#wanted = undefined;
    await this.kill();
  };

  request = async (
    { method, params }: { readonly processId: string; readonly method: string; readonly params: Json },
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Json> => {
    this.#reach();
    const process = this.#process;
    if (process === undefined) throw new VdcError("NOT_FOUND", `host '${this.host}' has no such process`);
    this.calls.push(method);
    const run = process.methods[method];
    if (run === undefined) throw new VdcError("UNIMPLEMENTED", method);
    // What crosses a process boundary is a copy.
    return structuredClone(
      await run(structuredClone(params), { signal: options.signal ?? new AbortController().signal }),
    );
  };

  /** Ends the process without a word, as `kill -9` does. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    this.#starting = undefined;
    await process?.crash();
  }

  /** Starts the process again, as a host's supervision does by itself. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#run();
  }

  /** Resolves when the process has every port's link up. */
  async linksUp(): Promise<void> {
    for (;;) {
      const status = (await this.#process?.methods.status?.({}, { signal: new AbortController().signal })) as unknown as
        | { readonly ports: readonly { readonly link: string }[] }
        | undefined;
      if (status?.ports.every(({ link }) => link === "up") === true) return;
      await new Promise(setImmediate);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reachable = false;
    await this.kill();
  }

  async #run(): Promise<void> {
    if (this.#wanted?.program.kind !== "module") return;
    const config = this.#wanted.program.config as unknown as SwitchProcessConfig;
    const { openGre } = this;
    this.#starting ??= SwitchProcess.open({
      ...{ config, dataPlane: { redialMs: 5, redialLargestMs: 20 } },
      ...(openGre === undefined ? {} : { openGre }),
    });
    this.#process = await this.#starting;
  }

  #reach(): void {
    if (!this.reachable) throw new VdcError("UNAVAILABLE", `host '${this.host}' does not answer`);
  }
}
